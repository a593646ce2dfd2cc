import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import SiteConfiguration
import StatusSummaries

// The Secret with the configuration.
extension SiteReconciler {
    /// What the gateways were told stays in force while the Site cannot be read.
    func keepDocument(_ site: Site, _ record: inout SiteRecord, _ objects: SiteObjects) {
        var ignored = (facts: SiteFacts(), leftovers: [Leftover]())
        let secret = objects.secrets.configuration
        let document = ConfigurationPlan.read(secret)
        guard record.document == nil,
            mayWrite(
                secret,
                isMarked: document != nil,
                of: site,
                &ignored.facts,
                &ignored.leftovers
            )
        else { return }
        record.document = document
    }

    func keepConfiguration(
        _ site: Site,
        _ record: inout SiteRecord,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) {
        let current = ConfigurationPlan.read(objects.secrets.configuration)
        guard let siteID = record.siteID,
            mayWrite(
                objects.secrets.configuration,
                isMarked: current != nil,
                of: site,
                &facts,
                &leftovers
            )
        else { return }
        let namespace = site.metadata.namespace ?? ""
        let unreadable = (
            links: shared.world.links.store.undecodable(in: namespace),
            services: shared.world.services.store.undecodable(in: namespace)
        )
        let links = shared.world.links.store.list(in: namespace)
            .filter { link in !unreadable.links.contains { $0.key == link.key } }
        let services = shared.world.services.store.list(in: namespace)
            .filter { service in !unreadable.services.contains { $0.key == service.key } }
        let ownAddresses = shared.world.gatewayAddresses(of: namespace)
        func inputs() -> CompilationInputs {
            CompilationInputs(
                site: site,
                siteID: siteID,
                links: links,
                services: services,
                unreadable: unreadable.links + unreadable.services,
                ownAddresses: ownAddresses,
                secret: objects.secrets.configuration
            )
        }
        guard record.inputs != inputs() else { return }
        // The ports given out before this process began are those in the Secret.
        let ports =
            record.document == nil ? ListenerPorts(record: current?.configuration) : record.ports
        var compilation = compile(
            site: site,
            siteID: siteID,
            links: links,
            services: services,
            listeners: .allocated(ports, now: shared.clock.now),
            keeping: KeptParts(
                of: (record.document ?? current)?.configuration,
                links: unreadable.links.filter(\.isStaying).map(\.key.name),
                services: unreadable.services.filter(\.isStaying).map(\.key.name)
            )
        )
        compilation.configuration.ownAddresses = ownAddresses
        let plan: (write: SecretWrite?, document: ConfigurationDocument)
        do {
            plan = try ConfigurationPlan.plan(
                configuration: compilation.configuration,
                existing: objects.secrets.configuration,
                site: site,
                lastGeneration: lastGeneration(record, secret: objects.secrets.configuration),
                newKey: SnapshotKey.make()
            )
        } catch {
            throw .request("the configuration does not encode: \(error)")
        }
        if let write = plan.write {
            objects.secrets.configuration = try await shared.writer.write(write)
        }
        record.take(plan.document, compilation: compilation, links: links, services: services)
        record.inputs = inputs()
    }

    /// Gateways never go back to a lower generation, so a new Secret must begin above the one that was lost, or that does
    /// not decode; when nobody knows that one, the time is above it.
    private func lastGeneration(_ record: SiteRecord, secret: Core.Secret?) -> UInt64 {
        let known = shared.view(of: record).gateways.compactMap(\.snapshot?.appliedGeneration).max()
        let last = max(record.document?.generation ?? 0, known ?? 0)
        guard ConfigurationPlan.read(secret) == nil else { return last }
        return max(last, UInt64(clamping: Timestamp.now().microseconds / 1000))
    }
}

extension Undecodable {
    /// Parts of the configuration go with an object that is being deleted, whatever it says.
    fileprivate var isStaying: Bool { !metadata.isTerminating }
}
