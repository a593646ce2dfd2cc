import NetworkModel

/// The keys that this gateway shares with each other gateway, for the MACs of stream set-up.
struct KeyRing: Equatable, Sendable {
    private var keys: [ProxyID: [UInt8]]

    init(_ keys: [ProxyID: [UInt8]] = [:]) { self.keys = keys }

    /// Nil while no advertisement of that gateway is known.
    func key(for gateway: ProxyID) -> [UInt8]? { keys[gateway] }

    mutating func set(_ key: [UInt8]?, for gateway: ProxyID) { keys[gateway] = key }
}

/// One service port as the loops see it.
struct ServiceEntry: Sendable {
    let shared: SharedService
    let timeouts: ServiceTimeouts
    /// Servers are told who the client is, by the PROXY protocol.
    var introducesClients = false
    /// First bytes of clients travel with OPEN.
    var isEarly = false
}

/// What every loop needs to know for streams; immutable, published anew when anything changes.
struct DataPlaneView: Sendable {
    var proxy: ProxyID
    var isSidecar: Bool
    var services: [ServicePort: ServiceEntry]
    var keys: KeyRing
    /// New streams from elsewhere are refused.
    var isDraining: Bool
}
