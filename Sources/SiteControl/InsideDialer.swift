import NetworkModel
import ProxyContract
import Wire

/// Keeps lanes to every address of one name of the own site: a gateway's siblings, or a sidecar's gateways.
///
/// The name is resolved every 5 s and soon after a loss. Between two gateways the one with the smaller ProxyID dials;
/// the other's attempt is turned away with `superfluous` once it has. Pure.
struct InsideDialer: Sendable {
    private struct Place: Sendable {
        var dialing: Set<LaneID> = []
        var up: Set<LaneID> = []
        var wanted = 1
        var backoff = Backoff.dialing
        var retryAt: Instant
        var isListed = true
        /// Round robin over the loops.
        var next = 0

        var isEmpty: Bool { dialing.isEmpty && up.isEmpty }
        var lacksLanes: Bool { isListed && dialing.count + up.count < wanted }
    }

    private let name: HostAndPort
    private var places: [IPAddress: Place] = [:]
    /// Addresses that turned out to be this proxy's own.
    private var own: Set<IPAddress> = []
    private var isStopped = false
    private var isResolving = false
    /// When the name is looked up again.
    private var resolveAt: Instant?
    private static let interval: Duration = .seconds(5)

    init(_ name: HostAndPort) { self.name = name }

    /// All gateways of the site as far as is known, this one included.
    var addresses: Set<IPAddress> { own.union(places.keys) }

    /// When `handleDeadline` has to be called; nil once stopped.
    var nextDeadline: Instant? {
        guard !isStopped else { return nil }
        return
            (places.values.filter(\.lacksLanes).map(\.retryAt)
            + [resolveAt].compactMap(\.self)).min()
    }

    mutating func start(_ turn: inout Turn) {
        resolveAt = turn.now + Self.interval
        resolve(&turn)
    }

    mutating func stop() { isStopped = true }

    mutating func handleDeadline(_ desk: inout DialDesk, _ turn: inout Turn) {
        guard !isStopped else { return }
        if let resolveAt, resolveAt <= turn.now { start(&turn) }
        fillAll(&desk, &turn)
    }

    private mutating func resolve(_ turn: inout Turn) {
        guard !isResolving, !isStopped else { return }
        isResolving = true
        turn.outputs.append(.resolve(.inside(host: name.host)))
    }

    mutating func resolved(_ answer: Answer, _ desk: inout DialDesk, _ turn: inout Turn) {
        isResolving = false
        if case .addresses(let addresses) = answer { list(addresses, at: turn.now) }
        fillAll(&desk, &turn)
    }

    private mutating func list(_ addresses: [IPAddress], at now: Instant) {
        for address in places.keys where !addresses.contains(address) {
            places[address]?.isListed = false
            if places[address]?.isEmpty == true { places[address] = nil }
        }
        for address in addresses where !own.contains(address) {
            if places[address] == nil {
                guard places.count < AdjacencyTable.neighborLimit else { break }
                places[address] = Place(retryAt: now)
            }
            places[address]?.isListed = true
        }
    }

    private mutating func fillAll(_ desk: inout DialDesk, _ turn: inout Turn) {
        for address in places.keys.sorted() { fill(address, &desk, &turn) }
    }

    /// Dials what is missing at one address, if it is time.
    private mutating func fill(_ address: IPAddress, _ desk: inout DialDesk, _ turn: inout Turn) {
        guard !isStopped, var place = places[address], turn.now >= place.retryAt else { return }
        while place.lacksLanes {
            let endpoint = Endpoint(address: address, port: name.port)
            place.dialing.insert(desk.dialInside(endpoint, number: place.next, &turn))
            place.next += 1
        }
        places[address] = place
    }

    /// A lane has exchanged HELLOs; `wanted`: how many there are to be with this neighbor, nil when that is for it to say.
    mutating func laneUp(
        _ id: LaneID,
        at address: IPAddress,
        wanted: Int?,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) {
        guard places[address]?.dialing.remove(id) != nil else { return }
        places[address]?.up.insert(id)
        places[address]?.backoff.reset()
        guard let wanted else { return }
        places[address]?.wanted = wanted
        fill(address, &desk, &turn)
    }

    mutating func laneEnded(
        _ id: LaneID,
        _ end: LaneEnd,
        wasUp: Bool,
        at address: IPAddress,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) {
        guard var place = places[address] else { return }
        place.dialing.remove(id)
        place.up.remove(id)
        if place.up.isEmpty { place.wanted = 1 }
        var wait = place.backoff.next(using: &desk.random)
        if case .closedByNeighbor(let closing) = end {
            switch closing.reason {
            case .toSelf:
                own.insert(address)
                places[address] = nil
                return
            // The sibling has lanes to us: look again only in case they go.
            case .superfluous: wait = Backoff.dialing.maximum
            default: break
            }
        }
        place.retryAt = turn.now + wait
        places[address] = !place.isListed && place.up.isEmpty ? nil : place
        if wasUp { resolve(&turn) }
    }

    /// A sibling that dialed us is gone: whoever was superfluous may be needed.
    mutating func siblingLost(_ desk: inout DialDesk, _ turn: inout Turn) {
        for address in places.keys where places[address]?.up.isEmpty == true {
            places[address]?.retryAt = turn.now
        }
        fillAll(&desk, &turn)
    }
}
