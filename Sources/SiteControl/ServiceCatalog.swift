import Balancing
import NetworkModel
import ProxyContract

/// The configured services of a gateway, and who their servers here are.
struct ServiceCatalog: Sendable {
    var names = ServerNames()
    private let options: ControlOptions
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
    private(set) var watched: Set<String> = []
    private(set) var rules: HostRules
    /// Where this proxy listens whatever its services are.
    private let fixedPlaces: Set<ListenPlace>
    /// Places and host names that services took or left since the rules and the names that are looked up followed.
    private var touched: (places: Set<ListenPlace>, hosts: Set<String>) = ([], [])
    /// How many places, addresses and names were compared for the last configuration.
    private(set) var compared = 0

    init(_ options: ControlOptions) {
        self.options = options
        fixedPlaces = options.fixedPlaces
        rules = HostRules(isInCluster: options.isInCluster, listeners: fixedPlaces)
    }

    var ports: Set<ServicePort> { Set(configurations.keys) }

    func configuration(_ key: ServicePort) -> ServiceConfiguration? { configurations[key]?.0 }

    func isProvider(_ key: ServicePort) -> Bool { configurations[key]?.0.provider != nil }

    func listen(_ key: ServicePort) -> ServicePortConfiguration.Listen? {
        configurations[key]?.1.listen
    }

    /// Where gateways would listen for clients of this service port; nil: nowhere.
    func listener(_ key: ServicePort) -> ClientListener? {
        listen(key).map { listen in
            ClientListener(
                service: key,
                place: ListenPlace(
                    address: listen.host.flatMap { IPAddress($0) } ?? options.bind,
                    port: listen.port
                )
            )
        }
    }

    /// The service ports of whose servers that is a name.
    func ports(ofHost name: String) -> Set<ServicePort> { portsByHost[name] ?? [] }

    /// Takes the servers behind a core Service; gives the service ports whose servers they are.
    mutating func setEndpoints(_ name: String, _ list: [LocalEndpoint]) -> Set<ServicePort> {
        endpoints[name] = list
        return portsByCoreService[name] ?? []
    }

    /// Looks the names of a service's servers up again: connects to them have failed.
    mutating func doubtHosts(of key: ServicePort, _ turn: inout Turn) {
        guard case .hosts(let hosts)? = configurations[key]?.0.provider else { return }
        names.doubt(Set(hosts), &turn)
    }

    // MARK: Configuration

    /// What a change of services means for their ports.
    struct Reconfigured: Equatable {
        /// Configured now, and to be refreshed.
        var there: Set<ServicePort> = []
        /// Were not configured before.
        var new: Set<ServicePort> = []
        /// Are not configured any more.
        var gone: Set<ServicePort> = []
        /// Whose time limits are others, or whose servers are told of clients in another way: loops have to be told.
        var retimed: Set<ServicePort> = []
    }

    /// Takes over what differs; services that stayed as they were are not looked at.
    mutating func configure(
        _ difference: ServiceDifference,
        own: Set<IPAddress>,
        local: Set<IPAddress>,
        _ turn: inout Turn
    ) -> Reconfigured {
        compared = 0
        var result = relist(difference)
        let haveListenersChanged = followListeners()
        let changed = take(own, for: \.own).union(take(local, for: \.local))
        // In a cluster no port of a gateway's own addresses may be a server; on a host only those that it listens on.
        if !rules.isInCluster, haveListenersChanged {
            result.there.formUnion(configurations.keys)
        } else {
            result.there.formUnion(ports(at: changed))
        }
        if followHosts() { names.watch(watched, &turn) }
        return result
    }

    /// True when this proxy listens elsewhere than before.
    private mutating func followListeners() -> Bool {
        var hasChanged = false
        for place in touched.places {
            let isOne = places[place] != nil || fixedPlaces.contains(place)
            guard isOne != rules.listeners.contains(place) else { continue }
            hasChanged = true
            if isOne { rules.listeners.insert(place) } else { rules.listeners.remove(place) }
        }
        compared += touched.places.count
        touched.places = []
        return hasChanged
    }

    /// True when other names than before are those of servers.
    private mutating func followHosts() -> Bool {
        var hasChanged = false
        for host in touched.hosts {
            let isOne = portsByHost[host] != nil
            guard isOne != watched.contains(host) else { continue }
            hasChanged = true
            if isOne { watched.insert(host) } else { watched.remove(host) }
        }
        compared += touched.hosts.count
        touched.hosts = []
        return hasChanged
    }

    /// Takes over addresses of this proxy that must not be taken for servers; gives those that came or went.
    ///
    /// There may be thousands: a set that is the one from before, not one like it, is known at once.
    private mutating func take(
        _ addresses: Set<IPAddress>,
        for rule: WritableKeyPath<HostRules, Set<IPAddress>>
    ) -> Set<IPAddress> {
        guard addresses != rules[keyPath: rule] else { return [] }
        let changed = addresses.symmetricDifference(rules[keyPath: rule])
        compared += addresses.count
        rules[keyPath: rule] = addresses
        return changed
    }

    private mutating func relist(_ difference: ServiceDifference) -> Reconfigured {
        var result = Reconfigured()
        var before: [ServicePort: ServiceConfiguration] = [:]
        for service in difference.before {
            for key in keys(of: service) where configurations[key]?.0.name == service.name {
                before[key] = service
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
                if old?.timeouts != service.timeouts
                    || old?.introducesClients != service.introducesClients
                    || old?.isEarly != service.isEarly
                {
                    result.retimed.insert(key)
                }
            }
        }
        result.gone = Set(before.keys)
        result.retimed.formUnion(result.gone)
        return result
    }

    /// The configured service ports that have a server at one of these addresses, wanted or not.
    private func ports(at addresses: Set<IPAddress>) -> Set<ServicePort> {
        guard !addresses.isEmpty else { return [] }
        var found: Set<ServicePort> = []
        for address in addresses { found.formUnion(portsByAddress[address] ?? []) }
        for (name, keys) in portsByHost
        where names.servers(name).joined().contains(where: addresses.contains) {
            found.formUnion(keys)
        }
        return found
    }

    private func keys(of service: ServiceConfiguration) -> [ServicePort] {
        service.ports.map { ServicePort(address: service.address, port: $0.name) }
    }

    private mutating func list(
        _ key: ServicePort,
        _ service: ServiceConfiguration,
        _ port: ServicePortConfiguration
    ) {
        configurations[key] = (service, port)
        if let place = listener(key)?.place {
            places[place, default: 0] += 1
            touched.places.insert(place)
        }
        switch service.provider {
        case .endpointSlices(let name)?: portsByCoreService[name, default: []].insert(key)
        case .hosts(let hosts)?:
            for host in hosts {
                if let address = IPAddress(host) {
                    portsByAddress[address, default: []].insert(key)
                } else {
                    portsByHost[host, default: []].insert(key)
                    touched.hosts.insert(host)
                }
            }
        case nil: break
        }
    }

    private mutating func unlist(_ key: ServicePort) {
        guard let (service, _) = configurations[key] else { return }
        if let place = listener(key)?.place {
            places[place] = places[place].flatMap { $0 > 1 ? $0 - 1 : nil }
            touched.places.insert(place)
        }
        configurations[key] = nil
        switch service.provider {
        case .endpointSlices(let name)?: portsByCoreService.remove(key, of: name)
        case .hosts(let hosts)?:
            for host in hosts {
                portsByHost.remove(key, of: host)
                touched.hosts.insert(host)
                if let address = IPAddress(host) { portsByAddress.remove(key, of: address) }
            }
        case nil: break
        }
    }

    // MARK: Servers

    /// The servers of a service port at this site.
    func servers(_ key: ServicePort) -> [EndpointBalancer.Server] {
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
        case .hosts(let hosts)?:
            return hosts.flatMap { names.servers($0) }.compactMap { addresses in
                let endpoints = addresses.map { Endpoint(address: $0, port: port.targetPort) }
                    .filter { rules.objection(to: $0) == nil }
                return endpoints.isEmpty ? nil : EndpointBalancer.Server(listed: endpoints)
            }
        }
    }

    /// What is wrong with the hosts of a service port, in order; `own`: servers to which connections come back.
    func problems(_ key: ServicePort, own: Set<Endpoint>, _ turn: Turn) -> [HostProblem] {
        guard let (service, port) = configurations[key], case .hosts(let hosts)? = service.provider
        else { return [] }
        var problems: [HostProblem] = []
        for host in hosts {
            if let failure = names.failure(of: host) {
                let since = turn.time(of: failure.since).rounded(to: .seconds(1))
                problems.append(HostProblem(host, .unresolved, failure.reason, since: since))
            }
            for address in names.servers(host).joined() {
                let endpoint = Endpoint(address: address, port: port.targetPort)
                if let objection = rules.objection(to: endpoint) {
                    problems.append(HostProblem(host, .refused, objection))
                } else if own.contains(endpoint) {
                    problems.append(HostProblem(host, .leadsToItself, HostProblem.remedy(endpoint)))
                }
            }
        }
        return problems
    }
}

extension ControlOptions {
    /// Where a proxy listens whatever its services are.
    fileprivate var fixedPlaces: Set<ListenPlace> {
        var places: Set<ListenPlace> = []
        for port in [linkPort, internalPort].compactMap(\.self) {
            places.insert(ListenPlace(address: bind, port: port))
        }
        if let admin {
            let isEverywhere = admin.address.specialUse != nil
            places.insert(
                ListenPlace(address: isEverywhere ? nil : admin.address, port: admin.port)
            )
        }
        return places
    }
}

extension Dictionary where Value == Set<ServicePort> {
    fileprivate mutating func remove(_ key: ServicePort, of name: Key) {
        self[name]?.remove(key)
        if self[name]?.isEmpty == true { self[name] = nil }
    }
}
