import Balancing
import NetworkModel
import Routing
import SiteConfiguration

/// The services of a gateway: what is configured, the local servers of each, and one shared balancer per service port.
///
/// A balancer outlives configurations for as long as its service port is known: counts are never lost. Confined to
/// loop 0; the balancers are shared with all loops.
final class ServiceTable {
    private unowned let control: ControlPlane
    private(set) var shared: [ServicePort: SharedService] = [:]
    private var configurations: [ServicePort: (ServiceConfiguration, ServicePortConfiguration)] =
        [:]
    /// EndpointSlices by the name of the core Service.
    private var endpoints: [String: [LocalEndpoint]] = [:]
    private let hosts: HostTable

    init(control: ControlPlane) {
        self.control = control
        hosts = HostTable(control: control)
    }

    // MARK: What is known

    func configure(_ services: [ServiceConfiguration]) {
        configurations = [:]
        var names: Set<String> = []
        for service in services {
            for port in service.ports {
                let key = ServicePort(address: service.address, port: port.name)
                configurations[key] = (service, port)
            }
            if case .hosts(let list)? = service.provider { names.formUnion(list) }
        }
        hosts.watch(names)
    }

    func setEndpoints(_ name: String, _ list: [LocalEndpoint]) { endpoints[name] = list }

    func configuration(_ service: ServicePort) -> ServiceConfiguration? {
        configurations[service]?.0
    }

    func timeouts(_ service: ServicePort) -> ServiceTimeouts {
        configurations[service]?.0.timeouts ?? .standard
    }

    /// Configured service ports, in order.
    var ports: [ServicePort] { configurations.keys.sorted() }

    private func servers(_ key: ServicePort) -> [EndpointBalancer.Server] {
        guard let (service, port) = configurations[key] else { return [] }
        switch service.provider {
        case nil: return []
        case .endpointSlices(let name)?:
            return (endpoints[name] ?? [])
                .filter { $0.portName == nil || $0.portName == port.name }
                .map { endpoint in
                    EndpointBalancer.Server(
                        endpoint: endpoint.endpoint,
                        isReady: endpoint.ready,
                        isServing: endpoint.serving
                    )
                }
        case .hosts(let names)?:
            return names.flatMap { hosts.addresses($0) }.map { address in
                EndpointBalancer.Server(
                    endpoint: Endpoint(address: address, port: port.targetPort),
                    isReady: true,
                    isServing: true
                )
            }
        }
    }

    func hostResolved(_ name: String, _ result: Result<[IPAddress], ResolverError>) -> Bool {
        hosts.resolved(name, result)
    }

    // MARK: What follows

    /// Joins local servers and routes into every balancer; gives what to advertise.
    func refresh(_ table: RouteTable, at now: Instant) -> [ServicePort: UInt32] {
        var advertised: [ServicePort: UInt32] = [:]
        let known = Set(configurations.keys).union(table.services.keys)
        for key in known {
            let service = entry(key)
            service.update(servers: servers(key), at: control.core.id.site)
            let ready = service.readyCount
            var targets = (table.services[key] ?? []).map { route in
                Target(
                    site: route.site,
                    cost: route.cost,
                    weight: route.weight,
                    isLastResort: route.isLastResort,
                    absence: route.absence
                )
            }
            if configurations[key]?.0.provider != nil {
                advertised[key] = ready
                let terminating = service.terminatingCount
                targets.append(
                    Target(
                        site: control.core.id.site,
                        cost: .zero,
                        weight: ready > 0 ? ready : terminating,
                        isLastResort: ready == 0 && terminating > 0
                    )
                )
            }
            service.update(targets: targets, at: now)
        }
        for key in shared.keys where !known.contains(key) {
            shared[key]?.update(servers: [], at: control.core.id.site)
            shared[key]?.update(targets: [], at: now)
            if shared[key]?.isIdle == true { shared[key] = nil }
        }
        return advertised
    }

    private func entry(_ key: ServicePort) -> SharedService {
        if let service = shared[key] { return service }
        let service = control.makeService(key)
        shared[key] = service
        control.counts.applyOthers(key)
        return service
    }

    /// Where gateways listen for clients: closed while no target is usable.
    func listeners(bind: IPAddress?) -> [ClientListener] {
        configurations.sorted { $0.key < $1.key }.compactMap { key, value in
            guard let listen = value.1.listen, shared[key]?.hasTarget == true else { return nil }
            return ClientListener(
                service: key,
                address: listen.host.flatMap { IPAddress($0) } ?? bind,
                port: listen.port
            )
        }
    }

    /// Looks the names of a service's servers up again if connects to them have failed.
    func doubtHosts(of service: ServicePort) {
        guard case .hosts(let names)? = configurations[service]?.0.provider else { return }
        let own = control.core.id.site
        let isEjected = shared[service]?.states.contains { state in
            if case .ejected = state.condition { state.target.site == own } else { false }
        }
        if isEjected == true { hosts.doubt(Set(names)) }
    }
}
