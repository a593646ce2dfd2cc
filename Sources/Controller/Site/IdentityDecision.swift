import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract

/// An identity that a Site has had, and where that is written.
struct IdentityRecord: Equatable, Sendable {
    var siteID: SiteID
    var place: String

    /// Looks wherever an identity leaves a trace: one lost trace must not make the site a new one.
    ///
    /// What belongs to another Site says nothing of this one.
    static func find(site: Site, secrets: SiteSecrets) -> IdentityRecord? {
        if let siteID = site.status.siteID {
            return IdentityRecord(siteID: siteID, place: "status.siteID")
        }
        for secret in [secrets.credentials, secrets.sidecar, secrets.configuration] {
            guard let secret, secret.metadata.mayBe(of: site) else { continue }
            if let siteID = IdentityPlan.siteID(secret)
                ?? ConfigurationPlan.read(secret)?.configuration.site.id
            {
                return IdentityRecord(siteID: siteID, place: "the Secret \(secret.metadata.name)")
            }
        }
        return nil
    }
}

/// What is to be done about the identity of a Site, decided from what is there.
enum IdentityDecision: Sendable {
    case use(SiteAuthority)
    /// There never was one, or a new one is asked for by name of the lost one.
    case make
    /// What others know of this site still holds, but nothing can be signed any more.
    case lost(IdentityRecord, problem: String)
    /// The Secret cannot be used, and no identity is known.
    case unusable(problem: String)

    init(site: Site, secrets: SiteSecrets, now: Date) {
        let name = ChildName.authoritySecret
        let record = IdentityRecord.find(site: site, secrets: secrets)
        guard let secret = secrets.authority else {
            guard let record, record.siteID.text != site.metadata.newIdentity else {
                self = .make
                return
            }
            self = .lost(
                record,
                problem:
                    "the Secret \(name), which holds the key of this site's identity \(record.siteID) "
                    + "(\(record.place)), is gone: \(Self.remedy(record, isThere: false))"
            )
            return
        }
        do {
            self = .use(try IdentityPlan.authority(secret, now: now))
        } catch {
            let what = "the Secret \(name), which is this site's identity, cannot be used: \(error)"
            guard let record else {
                self = .unusable(problem: "\(what); correct it, or delete it for a new identity")
                return
            }
            self = .lost(record, problem: "\(what): \(Self.remedy(record, isThere: true))")
        }
    }

    /// Naming the lost identity makes the wish one that cannot come true a second time, however long it stays in Git.
    private static func remedy(_ record: IdentityRecord, isThere: Bool) -> String {
        "restore the Secret, or ask for a new identity, which all sites with a Link to this one or with this one in "
            + "spec.allow must then be told: \(isThere ? "delete the Secret and " : "")annotate the Site with "
            + "\(Names.newIdentityAnnotation): \(record.siteID); until then gateways, links and services stay as "
            + "they are, and certificates are not renewed"
    }
}

extension ObjectMeta {
    /// The identity that the Site gives up for a new one.
    fileprivate var newIdentity: String? { annotations[Names.newIdentityAnnotation] }

    /// Not another owner's.
    fileprivate func mayBe(of site: Site) -> Bool {
        guard let controller else { return isManaged }
        return controller.uid == site.metadata.uid
    }
}
