import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Telemetry

// The Secrets with the configuration.
extension SiteReconciler {
    /// How long the parts are taken as they were read or written.
    private static let partsFreshness: Duration = .seconds(600)
    /// When they are read again after that failed.
    private static let partsRetry: Duration = .seconds(60)

    /// What the gateways were told stays in force while the Site cannot be read.
    func keepDocument(
        _ site: Site,
        _ record: inout SiteRecord,
        _ objects: SiteObjects,
        _ facts: inout SiteFacts
    ) async throws(APIError) {
        var ignored = (facts: SiteFacts(), leftovers: [Leftover]())
        let secret = objects.secrets.configuration
        guard record.head == nil, let head = ConfigurationPlan.read(secret),
            mayWrite(secret, isMarked: true, of: site, &ignored.facts, &ignored.leftovers)
        else { return }
        let secrets = try await configurationSecrets(of: site, head: secret, says: head, &facts)
        record.restore(head, services: secrets.services(head))
    }

    func keepConfiguration(
        _ site: Site,
        _ record: inout SiteRecord,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) -> ReconcileResult {
        guard let siteID = record.siteID else { return .done }
        let namespace = site.metadata.namespace ?? ""
        if let wait = gathering(site, siteID, record, objects) { return .again(after: wait) }
        var (compilation, changes) = try await compilation(
            site,
            siteID,
            record,
            objects,
            &facts
        )
        guard
            mayWrite(
                objects.secrets.configuration,
                isMarked: compilation.head != nil,
                of: site,
                &facts,
                &leftovers
            ), mayWriteParts(compilation.secrets, of: site, &facts, &leftovers)
        else { return .done }
        if record.head == nil, let head = compilation.head, case .all(let told) = changes {
            record.restore(head, services: told)
        }
        takeAddresses(changes, namespace, &compilation)
        let looked = look(for: changes, site, siteID, record, objects.joins, &compilation)
        let (isIdle, writes, head): (Bool, ConfigurationWrites, ConfigurationHead)
        let changed: Set<String>
        do {
            changed = try compilation.settle(at: shared.clock.now)
            isIdle = changed.isEmpty && looked.services.isEmpty && looked.links == nil
            (writes, head) = try ConfigurationPlan.plan(
                configuration: compilation.configuration,
                layout: compilation.layout,
                current: compilation.head,
                existing: compilation.secrets,
                site: site,
                lastGeneration: lastGeneration(record, current: compilation.head),
                newKey: SnapshotKey.make()
            )
        } catch {
            throw .request("the configuration does not encode: \(error)")
        }
        try await write(writes, &compilation.secrets)
        objects.secrets.configuration = compilation.secrets.head
        compilation.head = head
        if !isIdle || record.head != head {
            record.take(
                head,
                compilation,
                services: looked.services,
                changed: changed,
                links: looked.links
            )
        }
        for index in writes.unused { try await remove(part: index, &compilation.secrets) }
        shared.compilations.put(compilation, namespace)
        if !isIdle {
            shared.compilations.wrote(parts: writes.parts.count, namespace, at: shared.clock.now)
        }
        return .done
    }

    private func takeAddresses(
        _ changes: CompilationChanges,
        _ namespace: String,
        _ compilation: inout SiteCompilation
    ) {
        let hasHosts = shared.world.hasHosts(in: namespace)
        guard changes.haveAddresses || hasHosts != (compilation.ownAddresses != nil) else { return }
        compilation.ownAddresses = shared.world.gatewayAddresses(of: namespace)
    }

    /// The parts first: whatever comes between, the head that is there finds its parts.
    private func write(
        _ writes: ConfigurationWrites,
        _ secrets: inout ConfigurationSecrets
    ) async throws(APIError) {
        for (index, stored) in try await shared.writer.write(writes.parts) {
            secrets.parts[index] = stored
        }
        if let write = writes.head { secrets.head = try await shared.writer.write(write) }
    }

    /// How long Services that changed wait for others, so that those share a round; nil: not at all, as where anything else
    /// changed.
    private func gathering(
        _ site: Site,
        _ siteID: SiteID,
        _ record: SiteRecord,
        _ objects: SiteObjects
    ) -> Duration? {
        guard record.head != nil else { return nil }
        return shared.compilations.wait(
            site.metadata.namespace ?? "",
            at: shared.clock.now
        ) { known in
            known.isOf(site, siteID) && known.isMade(with: objects.secrets.configuration)
                && known.frameInputs?.generation == site.metadata.generation
        }
    }

    /// What was compiled before, and what has changed since; or nothing, and everything.
    private func compilation(
        _ site: Site,
        _ siteID: SiteID,
        _ record: SiteRecord,
        _ objects: SiteObjects,
        _ facts: inout SiteFacts
    ) async throws(APIError) -> (SiteCompilation, CompilationChanges) {
        let namespace = site.metadata.namespace ?? ""
        let (now, secret) = (shared.clock.now, objects.secrets.configuration)
        let taken = shared.compilations.take(namespace).flatMap {
            $0.0.isOf(site, siteID) && $0.0.isMade(with: secret) ? $0 : nil
        }
        if let (known, changes) = taken, now - known.partsRead < Self.partsFreshness {
            return (known, .some(changes))
        }
        let head = ConfigurationPlan.read(secret)
        let secrets: ConfigurationSecrets
        do {
            secrets = try await configurationSecrets(of: site, head: secret, says: head, &facts)
        } catch {
            guard case (var known, let changes)? = taken else { throw error }
            // As they are known they hold: what is written carries the version that it was made from.
            facts.readFailure = nil
            known.partsRead = now + (Self.partsRetry - Self.partsFreshness)
            return (known, .some(changes))
        }
        // The ports given out before this process began are those in the Secrets.
        let told = record.head == nil ? head.map(secrets.services) ?? [] : record.allServices
        let compilation = SiteCompilation(
            told: told,
            ports: record.head == nil ? nil : record.ports,
            secrets: secrets,
            head: head,
            siteUID: site.metadata.uid,
            siteID: siteID,
            at: now
        )
        return (compilation, .all(told: told))
    }

    private enum CompilationChanges {
        case some(CompilationCache.Changes)
        /// `told`: the services that the gateways were told of.
        case all(told: [ServiceConfiguration])

        var haveAddresses: Bool {
            switch self {
            case .some(let changes): changes.addresses
            case .all: true
            }
        }
    }

    /// Reads the parts: those that the head names, and those that an earlier one left.
    private func configurationSecrets(
        of site: Site,
        head: Core.Secret?,
        says: ConfigurationHead?,
        _ facts: inout SiteFacts
    ) async throws(APIError) -> ConfigurationSecrets {
        var secrets = ConfigurationSecrets(head: head)
        let count = says?.parts?.count ?? 0
        for index in 0..<(ConfigurationPart.counts.max() ?? 0) {
            let key = ObjectKey(
                namespace: site.metadata.namespace,
                name: ChildName.configurationPart(index)
            )
            do {
                secrets.parts[index] = try await find(key, &facts)
            } catch {
                // Rights that are missing for what is not needed keep nothing from being done.
                guard error.isForbidden, index >= count else { throw error }
                facts.readFailure = nil
            }
            // They go from the last one on.
            if index >= count, secrets.parts[index] == nil { break }
        }
        return secrets
    }

    private func mayWriteParts(
        _ secrets: ConfigurationSecrets,
        of site: Site,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) -> Bool {
        var mayWrite = true
        for part in secrets.parts.values
        where part.metadata.controller?.uid != site.metadata.uid {
            let isMarked = part.data.keys.contains { $0.hasPrefix("services-") }
            if !self.mayWrite(part, isMarked: isMarked, of: site, &facts, &leftovers) {
                mayWrite = false
            }
        }
        return mayWrite
    }

    /// Tells the compilation what has changed; returns which Services were looked for, and the Links if they were.
    private func look(
        for changes: CompilationChanges,
        _ site: Site,
        _ siteID: SiteID,
        _ record: SiteRecord,
        _ joins: Joins,
        _ compilation: inout SiteCompilation
    ) -> (services: [String: Service?], links: [Link]?) {
        let namespace = site.metadata.namespace ?? ""
        let (services, links) = (shared.world.services.store, shared.world.links.store)
        var names: Set<String>
        var told: [String: ServiceConfiguration] = [:]
        var isLinkChanged = false
        switch changes {
        case .some(let changes):
            names = changes.services
            isLinkChanged = changes.links
        case .all(let list):
            names = Set(services.keys(in: namespace).map(\.name)).union(record.serviceNames)
            for service in list { told[service.name] = service }
        }
        let unreadable = services.undecodable(in: namespace)
        let unreadableNames = Set(unreadable.map(\.key.name))
        names.formUnion(unreadableNames.symmetricDifference(compilation.unreadable))
        compilation.unreadable = unreadableNames
        let staying = Set(unreadable.filter(\.isStaying).map(\.key.name))
        var looked: [String: Service?] = [:]
        for name in names {
            let isUnreadable = unreadableNames.contains(name)
            let service =
                isUnreadable ? nil : services.get(ObjectKey(namespace: namespace, name: name))
            looked[name] = .some(service)
            if let service {
                compilation.set(service)
            } else if staying.contains(name), let part = record.service(name) ?? told[name] {
                compilation.keep(part)
            } else {
                compilation.remove(name)
            }
        }
        let unreadableLinks = links.undecodable(in: namespace)
        let inputs = SiteCompilation.FrameInputs(
            site,
            siteID,
            unreadableLinks: Set(unreadableLinks.map(\.key.name)),
            joins: joins
        )
        guard isLinkChanged || compilation.frameInputs != inputs else { return (looked, nil) }
        let readable = links.list(in: namespace)
            .filter { link in !unreadableLinks.contains { $0.key == link.key } }
        let kept = KeptParts(
            of: (record.head ?? compilation.head)?.configuration,
            links: unreadableLinks.filter(\.isStaying).map(\.key.name),
            services: []
        )
        compilation.setFrame(inputs, site: site, links: readable, keeping: kept.links)
        return (looked, readable)
    }

    private func remove(
        part index: Int,
        _ secrets: inout ConfigurationSecrets
    ) async throws(APIError) {
        guard let part = secrets.parts[index], let uid = part.metadata.uid else { return }
        try await shared.writer.carryOut([.delete(Core.Secret.resource, part.key, uid: uid)])
        secrets.parts[index] = nil
    }

    /// Gateways never go back to a lower generation, so a new Secret must begin above the one that was lost, or that does
    /// not decode; when nobody knows that one, the time is above it.
    private func lastGeneration(_ record: SiteRecord, current: ConfigurationHead?) -> UInt64 {
        let known = shared.view(of: record).gateways.compactMap(\.snapshot?.appliedGeneration).max()
        let last = max(record.head?.generation ?? 0, known ?? 0)
        guard current == nil else { return last }
        return max(last, UInt64(clamping: Timestamp.now().microseconds / 1000))
    }
}

extension SiteCompilation {
    fileprivate func isMade(with head: Core.Secret?) -> Bool {
        secrets.head?.metadata.resourceVersion == head?.metadata.resourceVersion
            && secrets.head?.metadata.uid == head?.metadata.uid
    }
}

extension Undecodable {
    /// Parts of the configuration go with an object that is being deleted, whatever it says.
    fileprivate var isStaying: Bool { !metadata.isTerminating }
}
