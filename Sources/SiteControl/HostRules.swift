import NetworkModel

/// Which addresses cannot be servers of `hosts`: those of this proxy, and those that are no host's.
struct HostRules: Equatable {
    /// Gateways in a cluster have addresses of their own: none of them is a server.
    var isInCluster = false
    /// Of the site: its gateways, and the core Services that lead to them.
    var own: Set<IPAddress> = []
    /// Of this host, or pod.
    var local: Set<IPAddress> = []
    /// Where this proxy listens.
    var listeners: Set<ListenPlace> = []

    init(
        isInCluster: Bool = false,
        own: Set<IPAddress> = [],
        local: Set<IPAddress> = [],
        listeners: Set<ListenPlace> = []
    ) {
        self.isInCluster = isInCluster
        self.own = own
        self.local = local
        self.listeners = listeners
    }

    /// Why `endpoint` is not used, and what to do; nil when it may be.
    func objection(to endpoint: Endpoint) -> String? {
        let address = endpoint.address
        if let nature = address.specialUse {
            return "\(address) is \(nature): give the server's own address"
        }
        if own.contains(address) {
            return "\(address) leads to this site's gateways: give the servers' own addresses"
        }
        let isHere = address.isLoopback || local.contains(address)
        if isInCluster, isHere {
            return "\(address) is the gateway itself: give the server's own address"
        }
        let isListener =
            listeners.contains(ListenPlace(address: address, port: endpoint.port))
            || isHere && listeners.contains(ListenPlace(address: nil, port: endpoint.port))
        if isListener {
            return "\(endpoint) is where this proxy itself listens: give the server another"
                + " targetPort, or the Service another port"
        }
        return nil
    }
}

/// Addresses that lead to a site's gateways: their own, and those of the core Services before them.
///
/// There may be thousands: they are joined when one changes, so that who looks at them meets the set that he knows.
struct OwnAddresses: Equatable {
    var gateways: Set<IPAddress> = [] { didSet { if gateways != oldValue { join() } } }
    var services: Set<IPAddress> = [] { didSet { join() } }
    private(set) var all: Set<IPAddress> = []

    private mutating func join() { all = services.union(gateways) }
}
