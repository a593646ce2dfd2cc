import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkModel

/// What the Secret of a leaf says.
///
/// To read certificates and keys costs more than all else that a reconcile does, so it is done once for a content.
struct LeafReading: Equatable, Sendable {
    private let content: [String: Data]
    private let authority: String?
    /// Whose proxies it is for; nil: it is no leaf of ours.
    let siteID: SiteID?
    /// Whether the authority has issued it for its role, and its key is there.
    let isIssued: Bool
    /// When it has to be renewed.
    let renewal: Date?
    let end: Date?
    /// From when on somebody should be told that it was not.
    let warning: Date?

    init(_ secret: Core.Secret, of role: ProxyRole, by authority: SiteAuthority?) {
        let chain = IdentityPlan.chain(secret)
        content = secret.data
        self.authority = authority?.certificatePEM
        siteID = LeafCertificate.siteID(chainPEM: chain)
        isIssued =
            authority?.hasIssued(chainPEM: chain, keyPEM: IdentityPlan.key(secret), role: role)
            ?? false
        renewal = LeafCertificate.renewalTime(chainPEM: chain)
        end = LeafCertificate.notAfter(chainPEM: chain)
        warning = LeafCertificate.warning(chainPEM: chain)
    }

    /// Whether reading again would say the same.
    func holds(_ secret: Core.Secret, by authority: SiteAuthority?) -> Bool {
        content == secret.data && self.authority == authority?.certificatePEM
    }
}

extension SiteObjects {
    /// What the leaf of a role says; nil when there is none.
    mutating func reading(of role: ProxyRole) -> LeafReading? {
        guard let secret = secrets[keyPath: SiteSecrets.leaf(of: role)] else { return nil }
        if let known = leaves[role], known.holds(secret, by: authority) { return known }
        let reading = LeafReading(secret, of: role, by: authority)
        leaves[role] = reading
        return reading
    }
}

extension SiteSecrets {
    static func leaf(of role: ProxyRole) -> WritableKeyPath<Self, Core.Secret?> {
        switch role {
        case .gateway: \.credentials
        case .sidecar: \.sidecar
        }
    }
}
