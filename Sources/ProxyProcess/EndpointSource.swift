import KubernetesAPI
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import Proxy
import SiteControl
import Synchronization

/// Follows the EndpointSlices of the site's namespace and tells the data plane who serves.
///
/// Until the first whole list has come, endpoints restored from the state directory serve.
final class EndpointSource: Sendable {
    private struct State {
        var changed: Set<String> = []
        /// What the data plane was told, by core Service.
        var told: [String: [LocalEndpoint]] = [:]
    }

    private let dataPlane: any DataPlane
    private let directory: StateDirectory?
    private let prefersV4: Bool
    private let state = Mutex(State())
    private let (ticks, tick) = AsyncStream.makeStream(
        of: Void.self,
        bufferingPolicy: .bufferingNewest(1)
    )

    init(dataPlane: any DataPlane, directory: StateDirectory?, prefersV4: Bool = true) {
        self.dataPlane = dataPlane
        self.directory = directory
        self.prefersV4 = prefersV4
    }

    /// Tells the endpoints that were kept.
    func restore() {
        for (service, endpoints) in directory?.loadEndpoints() ?? [:] {
            state.withLock { $0.told[service] = endpoints }
            dataPlane.setEndpoints(service: service, endpoints)
        }
    }

    /// Follows the informer, which somebody else runs, until the task is canceled.
    func follow(_ informer: Informer<Discovery.EndpointSlice>) async {
        informer.addHandler { [self] change in
            guard let service = Self.service(of: change.object) else { return }
            state.withLock { _ = $0.changed.insert(service) }
            tick.yield()
        }
        guard await informer.waitUntilSynced() else { return }
        state.withLock { state in
            // Those that were kept and have no slice any more are gone.
            state.changed.formUnion(state.told.keys)
        }
        tick.yield()
        await withTaskCancellationHandler {
            for await _ in ticks { update(informer.store.list()) }
        } onCancel: {
            tick.finish()
        }
    }

    /// Tells what changed, out of all slices.
    func update(_ slices: [Discovery.EndpointSlice]) {
        let changed = state.withLock { state in
            defer { state.changed = [] }
            return state.changed
        }
        guard !changed.isEmpty else { return }
        var found: [String: [Discovery.EndpointSlice]] = [:]
        for service in changed { found[service] = [] }
        for slice in slices {
            guard let service = Self.service(of: slice), changed.contains(service) else { continue }
            found[service, default: []].append(slice)
        }
        for (service, slices) in found.sorted(by: { $0.key < $1.key }) {
            let list = Self.endpoints(of: slices, prefersV4: prefersV4)
            let isNews = state.withLock { state in
                guard state.told[service] ?? [] != list else { return false }
                state.told[service] = list.isEmpty ? nil : list
                return true
            }
            if isNews { dataPlane.setEndpoints(service: service, list) }
        }
        directory?.save(state.withLock { $0.told })
    }

    /// The core Service of a slice, if it is one that we made for a selector.
    static func service(of slice: Discovery.EndpointSlice) -> String? {
        guard let name = slice.metadata.labels[Discovery.EndpointSlice.serviceNameLabel],
            ChildName.isEndpointsService(name)
        else { return nil }
        return name
    }

    /// The servers in the slices of one core Service, each once.
    ///
    /// A pod with addresses of two families is in a slice of each.
    static func endpoints(
        of slices: [Discovery.EndpointSlice],
        prefersV4: Bool
    ) -> [LocalEndpoint] {
        let found = slices.flatMap(servers)
        func isPreferred(_ server: Server) -> Bool {
            server.endpoint.endpoint.address.isV4 == prefersV4
        }
        let preferred = Set(found.filter(isPreferred).compactMap(\.pod))
        let chosen = found.filter { server in
            isPreferred(server) || !(server.pod.map(preferred.contains) ?? false)
        }
        return Set(chosen.map(\.endpoint)).sorted { $0.endpoint < $1.endpoint }
    }

    private struct Server {
        /// The UID of what the address belongs to; nil when the slice does not tell.
        var pod: String?
        var endpoint: LocalEndpoint
    }

    private static func servers(in slice: Discovery.EndpointSlice) -> [Server] {
        let ports = slice.ports.compactMap { port -> (UInt16, PortName?)? in
            guard port.protocol ?? "TCP" == "TCP",
                let number = port.port.flatMap(UInt16.init(exactly:))
            else { return nil }
            return (number, port.name.flatMap(PortName.init))
        }
        return slice.endpoints.flatMap { endpoint in
            // All addresses of one endpoint are the same server: the first is enough.
            let pod = endpoint.targetRef?.uid
            guard let address = endpoint.addresses.first.flatMap({ IPAddress($0) }) else {
                return [Server]()
            }
            return ports.map { port, name in
                let endpoint = LocalEndpoint(
                    endpoint: Endpoint(address: address, port: port),
                    portName: name,
                    ready: endpoint.conditions.isReady,
                    serving: endpoint.conditions.isServing,
                    terminating: endpoint.conditions.isTerminating
                )
                return Server(pod: pod, endpoint: endpoint)
            }
        }
    }
}
