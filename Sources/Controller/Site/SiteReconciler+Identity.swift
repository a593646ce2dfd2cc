import Certificates
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import StatusSummaries
import Telemetry

// The identity and the credentials made from it.
extension SiteReconciler {
    func keepIdentity(
        _ site: Site,
        _ record: inout SiteRecord,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) {
        guard let found = try await authority(site, &record, &objects, &facts) else { return }
        let authority = try await rotate(site, found, &objects, &facts)
        objects.authority = authority
        record.siteID = authority.siteID
        facts.siteID = authority.siteID
        if let before = IdentityRecord.find(site: site, secrets: objects.secrets)?.siteID,
            before != authority.siteID
        {
            await shared.writer.tell(
                Transitions.identityChanged(
                    site,
                    from: before,
                    to: authority.siteID,
                    isPlanned: facts.otherIdentities?.previous == before
                        || site.metadata.identityWish == .use(authority.siteID)
                )
            )
        }
        try await keepCredentials(site, authority, &objects, &facts, &leftovers)
        lookAtDates(site, authority, &objects, &facts)
    }

    /// Notes when the certificates end, and which of them nobody has renewed in time.
    private func lookAtDates(
        _ site: Site,
        _ authority: SiteAuthority,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts
    ) {
        let now = Date()
        facts.certificates = SiteStatus.Certificates(
            authority: Timestamp(authority.notAfter),
            gateway: objects.reading(of: .gateway)?.end.map { Timestamp($0) },
            sidecar: objects.reading(of: .sidecar)?.end.map { Timestamp($0) }
        )
        guard now < authority.warning else {
            facts.expiring.append(
                "the CA in the Secret \(site.authoritySecret) ends at \(Timestamp(authority.notAfter)): renew it with the "
                    + "same key, or all links of this site end then"
            )
            return
        }
        for role in ProxyRole.allCases {
            guard let reading = objects.reading(of: role), let end = reading.end,
                let warning = reading.warning, now >= warning
            else { continue }
            facts.expiring.append(
                "the certificate of the site's \(role) ends at \(Timestamp(end)) and is not renewed: the log of the "
                    + "controller says why"
            )
        }
    }

    /// The identity to sign with; nil when there is none, which `facts` say then.
    private func authority(
        _ site: Site,
        _ record: inout SiteRecord,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts
    ) async throws(APIError) -> SiteAuthority? {
        let now = Date()
        if let authority = objects.authority, now < authority.notAfter { return authority }
        let decision = IdentityDecision(
            site: site,
            secrets: objects.secrets,
            unread: objects.unread[site.authoritySecret],
            now: now
        )
        switch decision {
        case .use(let authority): return authority
        case .make:
            do {
                let secret = try IdentityPlan.newAuthority(site: site, now: now)
                let stored = try await shared.writer.write(
                    SecretWrite(mode: .create, secret: secret)
                )
                objects.secrets.authority = stored
                return try IdentityPlan.authority(stored, now: now)
            } catch let error as APIError {
                throw error
            } catch {
                throw .request("the identity could not be made: \(error)")
            }
        case .lost(let lost, let problem, let found):
            // The site is who it was, for all who know it; only the signing has ended.
            record.siteID = lost.siteID
            facts.siteID = lost.siteID
            facts.identityProblem = problem
            if let found { facts.otherIdentities = OtherIdentities(next: found) }
        case .unusable(let problem):
            facts.finding = Finding(
                object: FoundObject(kind: .site, name: site.metadata.name),
                field: site.spec.identity == nil ? "metadata.name" : "spec.identity",
                reason: problem.reason,
                message: problem.message
            )
        }
        return nil
    }

    /// Prepares another identity, or goes over to it, as the Site wishes; returns the one to sign with.
    ///
    /// Each step is one write of one Secret: whoever is stopped before or after it leaves nothing half done.
    private func rotate(
        _ site: Site,
        _ current: SiteAuthority,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts
    ) async throws(APIError) -> SiteAuthority {
        guard let secret = objects.secrets.authority else { return current }
        if let name = site.spec.identity?.secretName {
            let wish = site.metadata.identityWish
            let rotation = IdentityRotation(wish: wish, brought: current, in: name)
            facts.problem = rotation.problem.map { SpecProblem($0) }
            facts.otherIdentities = OtherIdentities()
            return current
        }
        let now = Date()
        let rotation: IdentityRotation
        do {
            rotation = try IdentityRotation(
                wish: site.metadata.identityWish,
                secret: secret,
                current: current,
                now: now
            )
        } catch {
            throw .request("the next identity could not be made: \(error)")
        }
        facts.problem = rotation.problem.map { SpecProblem($0) }
        var (held, authority) = (secret, current)
        if !rotation.changes.isEmpty {
            held = try await shared.writer.change(secret, rotation.changes)
            objects.secrets.authority = held
            do {
                authority = try IdentityPlan.authority(held, now: now)
            } catch {
                throw .request("the identity cannot be read as it was stored: \(error)")
            }
        }
        facts.otherIdentities = IdentityRotation.others(held, now: now)
        // Told until it is in status: a process that ends in between tells it again, as the same Event.
        if let next = facts.otherIdentities?.next, next != site.status.nextSiteID {
            await shared.writer.tell(Transitions.identityPrepared(site, next: next))
        }
        return authority
    }

    private func keepCredentials(
        _ site: Site,
        _ authority: SiteAuthority,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) {
        for role in ProxyRole.allCases {
            let place = SiteSecrets.leaf(of: role)
            let existing = objects.secrets[keyPath: place]
            let reading = objects.reading(of: role)
            let isMarked = reading?.siteID != nil
            guard mayWrite(existing, isMarked: isMarked, of: site, &facts, &leftovers) else {
                continue
            }
            let write: SecretWrite?
            do {
                write = try IdentityPlan.leaf(
                    role: role,
                    existing: existing,
                    reading: reading,
                    authority: authority,
                    site: site,
                    now: Date()
                )
            } catch {
                throw .request("no certificate could be signed: \(error)")
            }
            if let write { objects.secrets[keyPath: place] = try await shared.writer.write(write) }
            if let secret = objects.secrets[keyPath: place] {
                tellRotation(site, secret, end: objects.reading(of: role)?.end)
            }
        }
    }

    /// Tells of a certificate that was renewed lately, by this process or by one that may have ended before it could tell; told
    /// twice it is still one Event.
    private func tellRotation(_ site: Site, _ secret: Core.Secret, end: Date?) {
        guard let time = IdentityPlan.renewed(secret), Timestamp.now() - time < .seconds(3600),
            let end
        else { return }
        shared.writer.record(
            Transitions.rotated(site, secret: secret.metadata.name, until: "\(Timestamp(end))")
        )
    }

    /// Whether a Secret of ours is there, or none; what is in the way is noted.
    ///
    /// `isMarked`: it holds what one of that name of ours holds.
    func mayWrite(
        _ secret: Core.Secret?,
        isMarked: Bool,
        of site: Site,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) -> Bool {
        guard let found = secret?.metadata else { return true }
        switch Ownership(
            of: found,
            kind: Core.Secret.resource.kind,
            wanted: ObjectMeta(child: found.name, of: site),
            isMarked: isMarked,
            isThere: shared.isThere
        ) {
        case .ours: return true
        case .leaving(let message, let owner):
            facts.waits.append(message)
            if let leftover = Leftover(Core.Secret.resource, found, of: owner) {
                leftovers.append(leftover)
            }
        case .foreign(let message): facts.conflicts.append(message)
        }
        return false
    }
}

extension Timestamp {
    /// Whole seconds, as certificates have them.
    fileprivate init(_ date: Date) { self.init(seconds: Int64(date.timeIntervalSince1970)) }
}
