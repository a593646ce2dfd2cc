import Balancing
import NetworkModel
import Routing
import SiteConfiguration
import SiteControl

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
    /// The configured service ports by the core Service, and by the host names, that their servers are those of.
    private var portsByCoreService: [String: Set<ServicePort>] = [:]
    private var portsByHost: [String: Set<ServicePort>] = [:]
    /// The same by the addresses that `hosts` name.
    private var portsByAddress: [IPAddress: Set<ServicePort>] = [:]
    /// How many configured service ports listen at a place, would they have a target.
    private var places: [ListenPlace: Int] = [:]
    private var watched: Set<String> = []
    private let hosts: HostTable
    /// Local servers that take connections, of every service port that has a provider.
    private(set) var advertised: [ServicePort: UInt32] = [:]
    /// Where service ports listen that have a target.
    private var listening: [ServicePort: ServicePortConfiguration.Listen] = [:]
    private var rules = HostRules()
    private let prober: ServerProber

    init(control: ControlPlane) {
        self.control = control
        hosts = HostTable(control: control)
        prober = ServerProber(control: control)
    }

    // MARK: What is known

    /// What a change of services means for their ports.
    struct Reconfigured: Equatable {
        /// Configured now, and to be refreshed.
        var there: Set<ServicePort> = []
        /// Were not configured before.
        var new: Set<ServicePort> = []
        /// Are not configured any more.
        var gone: Set<ServicePort> = []
        /// Whose time limits are others: loops have to be told.
        var retimed: Set<ServicePort> = []
    }

    /// Takes over what differs; services that stayed as they were are not looked at.
    func configure(_ difference: ServiceDifference) -> Reconfigured {
        var result = Reconfigured()
        var before: [ServicePort: ServiceTimeouts] = [:]
        let oldPlaces = Set(rules.listeners)
        for service in difference.before {
            for key in keys(of: service) where configurations[key]?.0.name == service.name {
                before[key] = service.timeouts
                unlist(key)
            }
        }
        for service in difference.after {
            for (key, port) in zip(keys(of: service), service.ports) {
                unlist(key)
                list(key, service, port)
                result.there.insert(key)
                let old = before.removeValue(forKey: key)
                if old == nil { result.new.insert(key) }
                if old != service.timeouts { result.retimed.insert(key) }
            }
        }
        result.gone = Set(before.keys)
        result.retimed.formUnion(result.gone)
        let (own, local) = (rules.own, rules.local)
        updateRules()
        // In a cluster no port of a gateway's own addresses may be a server; on a host only those that it listens on.
        let isStricter = !rules.isInCluster && rules.listeners != oldPlaces
        if isStricter {
            result.there.formUnion(configurations.keys)
        } else {
            let changed = rules.own.symmetricDifference(own)
                .union(rules.local.symmetricDifference(local))
            result.there.formUnion(ports(at: changed))
        }
        let names = Set(portsByHost.keys)
        if names != watched {
            watched = names
            hosts.watch(names)
        }
        return result
    }

    /// The configured service ports that have a server at one of these addresses, wanted or not.
    private func ports(at addresses: Set<IPAddress>) -> Set<ServicePort> {
        guard !addresses.isEmpty else { return [] }
        var found: Set<ServicePort> = []
        for address in addresses { found.formUnion(portsByAddress[address] ?? []) }
        for (name, keys) in portsByHost
        where hosts.servers(name).joined().contains(where: addresses.contains) {
            found.formUnion(keys)
        }
        return found
    }

    private func keys(of service: ServiceConfiguration) -> [ServicePort] {
        service.ports.map { ServicePort(address: service.address, port: $0.name) }
    }

    private func list(
        _ key: ServicePort,
        _ service: ServiceConfiguration,
        _ port: ServicePortConfiguration
    ) {
        configurations[key] = (service, port)
        if let place = listener(key, bind: control.core.options.bind)?.place {
            places[place, default: 0] += 1
        }
        switch service.provider {
        case .endpointSlices(let name)?: portsByCoreService[name, default: []].insert(key)
        case .hosts(let names)?:
            for name in names {
                if let address = IPAddress(name) {
                    portsByAddress[address, default: []].insert(key)
                } else {
                    portsByHost[name, default: []].insert(key)
                }
            }
        case nil: break
        }
    }

    private func unlist(_ key: ServicePort) {
        guard let (service, _) = configurations[key] else { return }
        if let place = listener(key, bind: control.core.options.bind)?.place {
            places[place] = places[place].flatMap { $0 > 1 ? $0 - 1 : nil }
        }
        configurations[key] = nil
        switch service.provider {
        case .endpointSlices(let name)?: portsByCoreService.remove(key, of: name)
        case .hosts(let names)?:
            for name in names {
                portsByHost.remove(key, of: name)
                if let address = IPAddress(name) { portsByAddress.remove(key, of: address) }
            }
        case nil: break
        }
    }

    func setEndpoints(_ name: String, _ list: [LocalEndpoint]) { endpoints[name] = list }

    func configuration(_ service: ServicePort) -> ServiceConfiguration? {
        configurations[service]?.0
    }

    func timeouts(_ service: ServicePort) -> ServiceTimeouts {
        configurations[service]?.0.timeouts ?? .standard
    }

    /// The configured service ports.
    var ports: some Collection<ServicePort> { configurations.keys }

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
            return names.flatMap { hosts.servers($0) }.compactMap { addresses in
                let endpoints = addresses.map { Endpoint(address: $0, port: port.targetPort) }
                    .filter { rules.objection(to: $0) == nil }
                return endpoints.isEmpty ? nil : EndpointBalancer.Server(listed: endpoints)
            }
        }
    }

    /// What this proxy knows of itself, and must not take for servers.
    private func updateRules() {
        let options = control.core.options
        var places = Array(places.keys)
        places += [options.linkPort, options.internalPort].compactMap(\.self).map {
            ListenPlace(address: options.bind, port: $0)
        }
        if let admin = options.admin {
            let isEverywhere = admin.address.specialUse != nil
            places.append(
                ListenPlace(address: isEverywhere ? nil : admin.address, port: admin.port)
            )
        }
        rules = HostRules(
            isInCluster: options.isInCluster,
            own: control.ownAddresses,
            local: HostRules.localAddresses(),
            listeners: Set(places)
        )
    }

    /// What is wrong with the hosts of a service port, in order.
    func problems(_ key: ServicePort) -> [HostProblem] {
        guard let (service, port) = configurations[key], case .hosts(let names)? = service.provider
        else { return [] }
        let own = Set(shared[key]?.ownServers ?? [])
        var problems: [HostProblem] = []
        for name in names {
            if let failure = hosts.failure(of: name) {
                let since = WallClock.time(of: failure.since, at: EventLoop.clock())
                problems.append(
                    HostProblem(name, .unresolved, failure.reason, since: since.rounded())
                )
            }
            for address in hosts.servers(name).joined() {
                let endpoint = Endpoint(address: address, port: port.targetPort)
                if let objection = rules.objection(to: endpoint) {
                    problems.append(HostProblem(name, .refused, objection))
                } else if own.contains(endpoint) {
                    problems.append(HostProblem(name, .leadsToItself, HostProblem.remedy(endpoint)))
                }
            }
        }
        return problems
    }

    func hostResolved(_ name: String, _ answer: Answer) -> Bool {
        hosts.resolved(name, answer)
    }

    // MARK: What follows

    /// What else a refresh has changed.
    struct Refreshed {
        /// Service ports that came or went, or of which loops have to know something else.
        var entries: Set<ServicePort> = []
        /// Others listen than before.
        var listeners = false
        /// Other numbers of servers are to be advertised.
        var advertised = false
    }

    /// Joins local servers and routes into the balancers of some service ports.
    func refresh(
        _ keys: Set<ServicePort>,
        _ table: RouteTable,
        at now: Instant
    ) -> Refreshed {
        var refreshed = Refreshed()
        for key in keys {
            let told = advertised[key]
            let isKnown = configurations[key] != nil || table.services[key] != nil
            if isKnown {
                if shared[key] == nil { refreshed.entries.insert(key) }
                refresh(entry(key), table.services[key] ?? [], at: now)
            } else if let service = shared[key] {
                service.update(servers: [], at: control.core.id.site, now: now)
                service.update(targets: [], at: now)
                advertised[key] = nil
                // Looked at again when the last connection has ended.
                if service.isIdle {
                    shared[key] = nil
                    prober.forget(key)
                    refreshed.entries.insert(key)
                }
            }
            let listen = shared[key]?.hasTarget == true ? configurations[key]?.1.listen : nil
            if listen != listening[key] {
                refreshed.listeners = true
                listening[key] = listen
            }
            if advertised[key] != told { refreshed.advertised = true }
            control.loop.breathe()
        }
        return refreshed
    }

    private func refresh(_ service: SharedService, _ routes: [RouteTarget], at now: Instant) {
        let key = service.service
        let own = control.core.id.site
        service.update(servers: servers(key), at: own, now: now)
        var targets: [Target] = []
        var ways: [SiteID: Ways] = [:]
        for route in routes {
            targets.append(route.target)
            if !route.routes.isEmpty {
                ways[route.site] = Ways(routes: route.routes, detours: route.detours)
            }
        }
        let isProvider = configurations[key]?.0.provider != nil
        service.update(
            targets: targets,
            ways: ways,
            offeredAt: isProvider ? own : nil,
            at: now
        )
        advertised[key] = isProvider ? service.usableCount : nil
        prober.look(at: service)
    }

    /// Servers of these service ports may have failed or answered again; those to refresh, since another number is to be
    /// advertised, or they have become or stopped being usable here.
    func recount(_ keys: Set<ServicePort>) -> Set<ServicePort> {
        keys.filter { key in
            guard let service = shared[key], let known = advertised[key] else { return false }
            prober.look(at: service)
            let mayListen = configurations[key]?.1.listen != nil
            let isStale = mayListen && service.hasTarget != (listening[key] != nil)
            return service.usableCount != known || isStale
        }
    }

    /// Nobody needs it any more, now that its last connection has ended.
    func isAbandoned(_ key: ServicePort) -> Bool {
        configurations[key] == nil && control.routeTable.services[key] == nil
            && shared[key]?.isIdle == true
    }

    /// The service ports whose servers are those of a core Service.
    func ports(of name: String) -> Set<ServicePort> {
        portsByCoreService[name] ?? []
    }

    /// The service ports of whose servers that is a name.
    func ports(ofHost name: String) -> Set<ServicePort> { portsByHost[name] ?? [] }

    private func entry(_ key: ServicePort) -> SharedService {
        if let service = shared[key] { return service }
        let service = control.makeService(key)
        shared[key] = service
        control.counts.applyOthers(key)
        return service
    }

    /// Where gateways listen for clients: closed while no target is usable.
    func listeners(bind: IPAddress?) -> [ClientListener] {
        listening.keys.sorted().compactMap { listener($0, bind: bind) }
    }

    /// Where gateways would listen for clients of this service port; nil: nowhere.
    func listener(_ key: ServicePort, bind: IPAddress?) -> ClientListener? {
        configurations[key]?.1.listen.map { listen in
            ClientListener(
                service: key,
                place: ListenPlace(
                    address: listen.host.flatMap { IPAddress($0) } ?? bind,
                    port: listen.port
                )
            )
        }
    }

    /// Looks the names of a service's servers up again if connects to them have failed.
    func doubtHosts(of service: ServicePort) {
        guard case .hosts(let names)? = configurations[service]?.0.provider else { return }
        if shared[service]?.hasDoubt == true { hosts.doubt(Set(names)) }
    }
}

extension Dictionary where Value == Set<ServicePort> {
    fileprivate mutating func remove(_ key: ServicePort, of name: Key) {
        self[name]?.remove(key)
        if self[name]?.isEmpty == true { self[name] = nil }
    }
}
