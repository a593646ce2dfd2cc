import NetworkModel

/// Which fragments offer the service ports that somebody here uses, and with how many endpoints.
///
/// What nobody uses is not in here, whatever others advertise.
struct ServiceIndex: Sendable {
    private(set) var interest = ServiceInterest()
    private var offers: [ServicePort: [SiteID: [LSAKey: UInt32]]] = [:]
    private var offered: [ProxyID: [UInt16: [ServicePort: UInt32]]] = [:]

    /// What the gateways of one site offer, in their order.
    func offers(
        of service: ServicePort,
        at site: SiteID
    ) -> [(gateway: ProxyID, endpoints: UInt32)] {
        (offers[service]?[site] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key.origin, $0.value) }
    }

    /// The sites that offer a service port.
    func sites(of service: ServicePort) -> Set<SiteID> { Set((offers[service] ?? [:]).keys) }

    /// The gateways that offer a service port.
    func gateways(of service: ServicePort) -> Set<ProxyID> {
        Set((offers[service] ?? [:]).values.lazy.flatMap { $0.keys.lazy.map(\.origin) })
    }

    /// What of an origin's services is used here.
    func services(of origin: ProxyID) -> Set<ServicePort> {
        (offered[origin] ?? [:]).values.reduce(into: []) { $0.formUnion($1.keys) }
    }

    /// The service ports that are offered under some addresses.
    func services(of addresses: Set<ServiceAddress>) -> Set<ServicePort> {
        addresses.isEmpty ? [] : Set(offers.keys.filter { addresses.contains($0.address) })
    }

    /// Takes what one fragment offers now (nil: nothing); gives the service ports for which that is new.
    mutating func set(_ key: LSAKey, _ services: [LSAService]?) -> Set<ServicePort> {
        let old = offered[key.origin]?[key.fragment] ?? [:]
        var new: [ServicePort: UInt32] = [:]
        for entry in services ?? [] where interest.includes(entry.service) {
            new[entry.service] = entry.endpoints
        }
        var changed: Set<ServicePort> = []
        for (service, endpoints) in new where old[service] != endpoints {
            offers[service, default: [:]][key.origin.site, default: [:]][key] = endpoints
            changed.insert(service)
        }
        for service in old.keys where new[service] == nil {
            remove(service, of: key)
            changed.insert(service)
        }
        if !new.isEmpty {
            offered[key.origin, default: [:]][key.fragment] = new
        } else if !old.isEmpty {
            offered[key.origin]?[key.fragment] = nil
            if offered[key.origin]?.isEmpty == true { offered[key.origin] = nil }
        }
        return changed
    }

    /// Takes all that an origin advertises now.
    mutating func set(_ origin: ProxyID, _ advertisements: [LSA]) -> Set<ServicePort> {
        var changed: Set<ServicePort> = []
        let present = Set(advertisements.map(\.fragment))
        for fragment in (offered[origin] ?? [:]).keys where !present.contains(fragment) {
            changed.formUnion(set(LSAKey(origin: origin, fragment: fragment), nil))
        }
        for lsa in advertisements { changed.formUnion(set(lsa.key, lsa.services)) }
        return changed
    }

    private mutating func remove(_ service: ServicePort, of key: LSAKey) {
        let site = key.origin.site
        offers[service]?[site]?[key] = nil
        if offers[service]?[site]?.isEmpty == true { offers[service]?[site] = nil }
        if offers[service]?.isEmpty == true { offers[service] = nil }
    }

    /// Takes another interest; gives the service ports for which it makes a difference.
    mutating func set(_ new: ServiceInterest, _ database: LSDB) -> Set<ServicePort> {
        let old = interest
        guard new != old else { return [] }
        interest = new
        var changed = Set(offers.keys.filter { !new.includes($0) })
        for service in changed {
            for key in (offers[service] ?? [:]).values.flatMap(\.keys) {
                offered[key.origin]?[key.fragment]?[service] = nil
            }
            offers[service] = nil
        }
        let added = new.services.subtracting(old.includesAll ? new.services : old.services)
        for origin in database.origins {
            for lsa in database.advertisements(of: origin) {
                if new.includesAll {
                    changed.formUnion(set(lsa.key, lsa.services))
                } else {
                    changed.formUnion(add(added, of: lsa))
                }
            }
        }
        return changed
    }

    /// Looks for some services in a list that is sorted, without going through all of it.
    private mutating func add(_ services: Set<ServicePort>, of lsa: LSA) -> Set<ServicePort> {
        var found: Set<ServicePort> = []
        for service in services {
            guard let endpoints = lsa.endpoints(of: service) else { continue }
            offers[service, default: [:]][lsa.origin.site, default: [:]][lsa.key] = endpoints
            offered[lsa.origin, default: [:]][lsa.fragment, default: [:]][service] = endpoints
            found.insert(service)
        }
        return found
    }
}

extension LSA {
    /// The endpoints of one service port, by binary search; nil when it is not named.
    fileprivate func endpoints(of service: ServicePort) -> UInt32? {
        var (low, high) = (0, services.count)
        while low < high {
            let middle = (low + high) / 2
            if services[middle].service < service { low = middle + 1 } else { high = middle }
        }
        guard low < services.count, services[low].service == service else { return nil }
        return services[low].endpoints
    }
}
