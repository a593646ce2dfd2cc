package import NetworkModel

/// Why a server is left out although it is listed.
package enum ServerFault: Hashable, Sendable {
    /// Nobody has connected to it yet, and nobody else vouches for it.
    case untried
    /// It refused the connection, or the network did.
    case refused
    case unanswered
    /// It accepted, and closed or reset before a byte had passed in either direction.
    case closedAtOnce
    /// Connections to it come back to this proxy: nobody gets it, not even while there is no other.
    case leadsToItself

    /// What a site says whose servers all have it.
    package var failover: FailoverReason {
        switch self {
        case .untried, .leadsToItself: .noEndpoints
        case .refused, .closedAtOnce: .connectRefused
        case .unanswered: .connectTimeout
        }
    }
}

/// What a balancer remembers of one server.
struct ServerSlot: Sendable {
    private(set) var server: EndpointBalancer.Server
    var open: UInt64 = 0
    var lastPicked: UInt64 = 0
    var ejection: Ejection<ServerFault>?
    /// What the last ejection had counted when a connect succeeded, and when that was.
    private var recovered: (failures: Int, at: Instant)?
    /// The index of the address in use.
    private var current = 0 { didSet { settle() } }
    /// What picks of it share.
    private(set) var place: ServerPlace
    /// Addresses that failed in a row.
    private var failedAddresses = 0

    init(_ server: EndpointBalancer.Server, at now: Instant) {
        self.server = server
        place = ServerPlace(endpoint: server.addresses[0], server: server.id)
        if server.isReady, !server.isVouchedFor { ejection = Ejection(untried: .untried, at: now) }
    }

    var id: Endpoint { server.id }
    var address: Endpoint { server.addresses[current] }
    var isPresent: Bool { server.isReady || server.isServing }
    var isUsable: Bool { server.isReady && ejection == nil }
    /// Ready as somebody says, but it does not take connections.
    var isDoubtful: Bool { server.isReady && ejection != nil && !leadsToItself }
    var leadsToItself: Bool { ejection?.reason == .leadsToItself }

    /// The best first: usable, terminating, and in doubt; nil: never.
    func rank(at now: Instant) -> Int? {
        guard isPresent, !leadsToItself else { return nil }
        guard let ejection else { return server.isReady ? 0 : 1 }
        return ejection.isDue(at: now) ? 2 : 3
    }

    /// Goes on as what the source says now.
    mutating func update(_ new: EndpointBalancer.Server) {
        let address = address
        if new.isReady, !server.isReady {
            ejection = nil
            recovered = nil
        }
        server = new
        current = new.addresses.firstIndex(of: address) ?? 0
        failedAddresses = 0
    }

    private mutating func settle() {
        guard place.endpoint != address || place.server != id else { return }
        place = ServerPlace(endpoint: address, server: id)
    }

    /// The source does not list it any more.
    mutating func leave() {
        server.isReady = false
        server.isServing = false
    }

    /// It took a connection.
    ///
    /// That connections to it come back only a probe can refute.
    mutating func succeed(at address: Endpoint, isProbe: Bool, at now: Instant) {
        if address == self.address { failedAddresses = 0 }
        guard let old = ejection, isProbe || !leadsToItself else { return }
        ejection = nil
        recovered = (old.failures, now)
    }

    /// `address` did not take the connection of this number: another address of the server is next, or the server is
    /// left alone for a while.
    mutating func fail(
        _ number: UInt64,
        _ fault: ServerFault,
        of address: Endpoint,
        at now: Instant
    ) {
        // Another address took its place meanwhile: this is nothing new.
        guard address == self.address else {
            ejection?.abandonProbe(number)
            return
        }
        failedAddresses += 1
        current = (current + 1) % server.addresses.count
        if failedAddresses < server.addresses.count {
            ejection?.abandonProbe(number)
            return
        }
        failedAddresses = 0
        guard ejection != nil else {
            let before = recovered.flatMap {
                now - $0.at <= EjectionTimes.longest ? $0.failures : nil
            }
            ejection = Ejection(reason: fault, after: before ?? 0, at: now)
            return
        }
        // What was found out stays true until a probe succeeds.
        if !leadsToItself { ejection?.reason = fault }
        ejection?.fail(number, at: now)
    }

    /// Connections to it come back.
    mutating func condemn(at now: Instant) {
        guard !leadsToItself else { return }
        ejection = Ejection(reason: .leadsToItself, after: 10, at: now)
    }

    /// When the next probe is due, soon while nothing else is there; nil: none is needed, or one is under way.
    func nextProbe(isUrgent: Bool, at now: Instant) -> Instant? {
        guard server.isReady, let ejection, !ejection.isProbed(at: now) else { return nil }
        guard isUrgent, !leadsToItself else { return ejection.until }
        return min(ejection.until, ejection.since + Self.urgentWait)
    }

    private static let urgentWait: Duration = .seconds(1)
}
