import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

/// An identity that a Site has had, and where that is written.
struct IdentityRecord: Equatable, Sendable {
    var siteID: SiteID
    var place: String

    /// Looks wherever an identity leaves a trace: one lost trace must not make the site a new one.
    ///
    /// What belongs to another Site says nothing of this one.
    static func all(site: Site, secrets: SiteSecrets) -> [IdentityRecord] {
        var found = site.status.siteID.map { [IdentityRecord(siteID: $0, place: "status.siteID")] }
        for secret in [secrets.credentials, secrets.sidecar, secrets.configuration] {
            guard let secret, secret.metadata.mayBe(of: site) else { continue }
            if let siteID = IdentityPlan.siteID(secret)
                ?? ConfigurationPlan.read(secret)?.configuration.site.id
            {
                let place = "the Secret \(secret.metadata.name)"
                found = (found ?? []) + [IdentityRecord(siteID: siteID, place: place)]
            }
        }
        return found ?? []
    }

    static func find(site: Site, secrets: SiteSecrets) -> IdentityRecord? {
        all(site: site, secrets: secrets).first
    }
}

/// What is to be done about the identity of a Site, decided from what is there.
enum IdentityDecision: Sendable {
    case use(SiteAuthority)
    /// There never was one, or a new one is asked for by name of the lost one.
    case make
    /// What others know of this site still holds, but nothing can be signed any more; `found`: the identity that is there in its place.
    case lost(IdentityRecord, IdentityProblem, found: SiteID? = nil)
    /// There is nothing that can be used, and no identity is known.
    case unusable(IdentityProblem)

    /// `unread`: why the Secret cannot be read; then nothing is known of it.
    init(site: Site, secrets: SiteSecrets, unread: String? = nil, now: Date) {
        let records = IdentityRecord.all(site: site, secrets: secrets)
        let state = State(site: site, record: records.first)
        if let unread {
            self = state.without(.identityMissing, "\(state.what): \(unread)")
            return
        }
        guard let secret = secrets.authority else {
            self = state.absent
            return
        }
        let authority: SiteAuthority
        do {
            authority = try IdentityPlan.authority(secret, now: now)
        } catch {
            self = state.broken("\(error)")
            return
        }
        let isKnown = records.isEmpty || records.contains { $0.siteID == authority.siteID }
        self =
            isKnown || site.metadata.asksFor(authority.siteID, insteadOf: records.first?.siteID)
            ? .use(authority) : state.another(authority.siteID)
    }

    /// What the decision is about, with its words.
    private struct State {
        let site: Site
        let record: IdentityRecord?

        var isBrought: Bool { site.spec.identity != nil }

        var what: String {
            let role = isBrought ? "spec.identity names as" : "is"
            return "the Secret \(site.authoritySecret), which \(role) this site's identity"
        }

        /// Nothing to sign with, for `reason`.
        func without(_ reason: Reason, _ message: String) -> IdentityDecision {
            guard let record else { return .unusable(IdentityProblem(reason, message)) }
            let rest =
                "; until then the site goes on as \(record.siteID), and certificates are not renewed"
            return .lost(record, IdentityProblem(reason, message + rest))
        }

        var absent: IdentityDecision {
            if isBrought {
                return without(
                    .identityMissing,
                    "\(what), is not there: make it, of type kubernetes.io/tls with tls.crt and tls.key"
                )
            }
            guard let record, record.siteID.text != site.metadata.newIdentity else { return .make }
            let text =
                "the Secret \(site.authoritySecret), which holds the key of this site's identity \(record.siteID) "
                + "(\(record.place)), is gone: \(remedy(record, isThere: false))"
            return .lost(record, IdentityProblem(.identityLost, text))
        }

        func broken(_ error: String) -> IdentityDecision {
            let text = "\(what), cannot be used: \(error)"
            if isBrought { return without(.certificateInvalid, text) }
            guard let record else {
                let remedy = "correct it, or delete it for a new identity"
                return .unusable(IdentityProblem(.invalid, "\(text); \(remedy)"))
            }
            return .lost(
                record,
                IdentityProblem(.identityLost, "\(text): \(remedy(record, isThere: true))")
            )
        }

        /// Others know this site by the identity that it had: it changes by an explicit wish only.
        func another(_ found: SiteID) -> IdentityDecision {
            guard let record else { return .unusable(IdentityProblem(.invalid, what)) }
            let text =
                "\(what), holds the key of \(found), and this site is \(record.siteID) (\(record.place)): put the key of "
                + "\(record.siteID) back, or tell all sites with a Link to this one (nextRemoteSiteID) and those that it dials "
                + "(spec.allow), and then annotate the Site with \(Names.nextIdentityAnnotation): \(found); until then "
                + "the site goes on as it is, and certificates are not renewed"
            return .lost(record, IdentityProblem(.identityMismatch, text), found: found)
        }

        /// Naming the lost identity makes the wish one that cannot come true a second time, however long it stays in Git.
        private func remedy(_ record: IdentityRecord, isThere: Bool) -> String {
            "restore the Secret, or ask for a new identity, which all sites with a Link to this one or with this one in "
                + "spec.allow must then be told: \(isThere ? "delete the Secret and " : "")annotate the Site with "
                + "\(Names.newIdentityAnnotation): \(record.siteID); until then gateways, links and services stay as "
                + "they are, and certificates are not renewed"
        }
    }
}

extension ObjectMeta {
    /// The identity that the Site gives up for a new one.
    fileprivate var newIdentity: String? { annotations[Names.newIdentityAnnotation] }

    /// Whether the Site is to be `siteID`, or anything in the place of `old`.
    fileprivate func asksFor(_ siteID: SiteID, insteadOf old: SiteID?) -> Bool {
        if identityWish == .use(siteID) { return true }
        return old != nil && newIdentity == old?.text
    }

    /// Not another owner's.
    fileprivate func mayBe(of site: Site) -> Bool {
        guard let controller else { return isManaged }
        return controller.uid == site.metadata.uid
    }
}
