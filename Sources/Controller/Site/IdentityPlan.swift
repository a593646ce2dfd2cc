import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel

/// The Secrets of a site as they are in the cluster; nil: not there.
struct SiteSecrets: Equatable, Sendable {
    var authority: Core.Secret?
    var configuration: Core.Secret?
    var credentials: Core.Secret?
    var sidecar: Core.Secret?
    /// What is kept of the tokens that were issued here.
    var grants: Core.Secret?
    /// Those of Links, by name.
    var tokens: [String: Core.Secret] = [:]

    init() {}

    /// Each by its name.
    ///
    /// `tokens`: the names of those that Links speak of.
    static func places(
        of site: Site,
        tokens: Set<String>
    ) -> [(name: String, place: WritableKeyPath<SiteSecrets, Core.Secret?>)] {
        [
            (site.authoritySecret, \.authority),
            (ChildName.configurationSecret, \.configuration),
            (ChildName.credentialsSecret, \.credentials),
            (ChildName.sidecarSecret, \.sidecar),
            (ChildName.grantsSecret, \.grants),
        ] + tokens.sorted().map { ($0, \.tokens[$0]) }
    }
}

extension Site {
    /// The Secret with the key that is this site's identity: the one that was brought, or ours.
    var authoritySecret: String { spec.identity?.secretName ?? ChildName.authoritySecret }
}

/// A Secret to be written.
struct SecretWrite: Equatable, Sendable {
    enum Mode: Equatable, Sendable {
        /// Fails when there is one already.
        case create
        /// Replaces our keys in it.
        case apply
    }

    var mode: Mode
    var secret: Core.Secret
}

/// Keeps a site's identity and the credentials of its proxies.
enum IdentityPlan {
    private static let certificateKey = "tls.crt"
    private static let privateKey = "tls.key"

    /// Makes the Secret of a new identity.
    ///
    /// It has no owner: the identity outlives the Site object, so that other sites need not be told of a re-creation.
    static func newAuthority(site: Site, now: Date) throws -> Core.Secret {
        let authority = try SiteAuthority.make(now: now)
        return Core.Secret {
            $0.metadata = ObjectMeta(child: ChildName.authoritySecret, of: site)
            $0.metadata.ownerReferences = []
            $0.type = "kubernetes.io/tls"
            $0.data = [
                certificateKey: Data(authority.certificatePEM.utf8),
                privateKey: Data(authority.keyPEM.utf8),
            ]
        }
    }

    /// Reads the identity; throws `CertificateProblem` with what is wrong with the Secret.
    static func authority(_ secret: Core.Secret, now: Date) throws -> SiteAuthority {
        try SiteAuthority(
            certificatePEM: text(secret, certificateKey),
            keyPEM: text(secret, privateKey),
            now: now
        )
    }

    /// The leaf of one role, when it has to be written: it is absent, another CA's, nobody's, or near its end.
    ///
    /// `reading`: of `existing`.
    static func leaf(
        role: ProxyRole,
        existing: Core.Secret?,
        reading: LeafReading?,
        authority: SiteAuthority,
        site: Site,
        now: Date
    ) throws -> SecretWrite? {
        if let existing, let reading, reading.isIssued, let renewal = reading.renewal,
            now < renewal, existing.metadata.controller?.uid == site.metadata.uid
        {
            return nil
        }
        let leaf = try authority.issueLeaf(role: role, now: now)
        let name = role == .sidecar ? ChildName.sidecarSecret : ChildName.credentialsSecret
        let secret = Core.Secret {
            $0.metadata = ObjectMeta(child: name, of: site)
            $0.metadata.uid = existing?.metadata.uid
            if existing != nil {
                let time = Timestamp(seconds: Int64(now.timeIntervalSince1970))
                $0.metadata.annotations[Names.renewedAnnotation] = "\(time)"
            }
            $0.type = existing?.type ?? "kubernetes.io/tls"
            $0.data = [
                certificateKey: Data(leaf.chainPEM.utf8), privateKey: Data(leaf.keyPEM.utf8),
            ]
        }
        return SecretWrite(mode: existing == nil ? .create : .apply, secret: secret)
    }

    /// When a leaf was renewed; nil: it is the first one.
    static func renewed(_ secret: Core.Secret) -> Timestamp? {
        secret.metadata.annotations[Names.renewedAnnotation].flatMap { Timestamp($0) }
    }

    /// Whose proxies a leaf is for.
    static func siteID(_ secret: Core.Secret) -> SiteID? {
        LeafCertificate.siteID(chainPEM: text(secret, certificateKey))
    }

    static func chain(_ leaf: Core.Secret) -> String { text(leaf, certificateKey) }
    static func key(_ leaf: Core.Secret) -> String { text(leaf, privateKey) }

    private static func text(_ secret: Core.Secret, _ key: String) -> String {
        String(decoding: secret.data[key] ?? Data(), as: UTF8.self)
    }
}
