import NetworkModel
import SiteConfiguration
import SiteControl
import Wire

/// Keeps lanes to every address of one name of the own site: a gateway's siblings, or a sidecar's gateways.
///
/// The name is resolved every 5 s and soon after a loss. Between two gateways the one with the smaller ProxyID dials;
/// the other's attempt is turned away with `superfluous` once it has. Confined to loop 0.
final class InsideDialer {
    private struct Place {
        var dialing: Set<LaneID> = []
        var up: Set<LaneID> = []
        var wanted = 1
        var backOff = BackOff()
        var retryAt: Instant
        var isListed = true
        /// Round robin over the loops.
        var next = 0
    }

    private let name: HostAndPort
    private let kind: AdjacencyTable.Kind
    private unowned let control: ControlPlane
    private var places: [IPAddress: Place] = [:]
    /// Addresses that turned out to be this proxy's own.
    private var own: Set<IPAddress> = []
    /// All gateways of the site as far as is known, this one included.
    var addresses: Set<IPAddress> { own.union(places.keys) }
    private(set) var error: String?
    private(set) var hasResolved = false
    private var isStopped = false
    private var isResolving = false
    private static let interval: Duration = .seconds(5)
    private static let laneLimit = 8

    init(_ name: HostAndPort, kind: AdjacencyTable.Kind, control: ControlPlane) {
        self.name = name
        self.kind = kind
        self.control = control
    }

    func start() {
        resolve()
        control.loop.schedule(after: Self.interval) { [weak self] _ in
            guard let self, !isStopped else { return }
            start()
        }
    }

    func stop() { isStopped = true }

    private func resolve() {
        guard !isResolving, !isStopped else { return }
        isResolving = true
        control.resolver.resolve(name.host, replyTo: control.loop.mailbox) { loop, result in
            loop.local(ControlPlane.self)?.inside?.resolved(result)
        }
    }

    private func resolved(_ result: Result<[IPAddress], ResolverError>) {
        isResolving = false
        hasResolved = true
        switch result {
        case .failure(let failure): error = failure.reason
        case .success(let addresses):
            error = nil
            for address in places.keys where !addresses.contains(address) {
                places[address]?.isListed = false
                if places[address]?.up.isEmpty == true, places[address]?.dialing.isEmpty == true {
                    places[address] = nil
                }
            }
            for address in addresses where !own.contains(address) {
                if places[address] == nil {
                    guard places.count < AdjacencyTable.neighborLimit else { break }
                    places[address] = Place(retryAt: control.loop.now)
                }
                places[address]?.isListed = true
            }
        }
        for address in places.keys.sorted() { fill(address) }
    }

    /// Dials what is missing at one address, if it is time.
    private func fill(_ address: IPAddress) {
        guard !isStopped, var place = places[address], place.isListed,
            EventLoop.clock() >= place.retryAt
        else { return }
        while place.dialing.count + place.up.count < place.wanted {
            let id = control.core.makeLaneID()
            place.dialing.insert(id)
            let current = control.core.current
            let order = DialOrder(
                id: id,
                purpose: .inside,
                endpoint: Endpoint(address: address, port: name.port),
                parameters: Lane.Parameters(
                    context: current.context,
                    health: current.health,
                    expectedSites: [control.core.id.site]
                ),
                hello: control.hello(for: nil)
            )
            control.dial(order, for: .inside(address), on: place.next % control.core.loops)
            place.next += 1
        }
        places[address] = place
    }

    func laneUp(_ id: LaneID, _ hello: Hello, at address: IPAddress) {
        guard places[address]?.dialing.remove(id) != nil else { return }
        places[address]?.up.insert(id)
        places[address]?.backOff.reset()
        // The larger ProxyID keeps the one lane that it got; the rest is the smaller one's to dial.
        guard kind == .home || control.core.id < hello.proxy else { return }
        places[address]?.wanted = min(max(hello.loops, control.core.loops), Self.laneLimit)
        fill(address)
    }

    func laneEnded(_ id: LaneID, _ reason: LaneEnd, wasUp: Bool, at address: IPAddress) {
        guard places[address] != nil else { return }
        places[address]?.dialing.remove(id)
        places[address]?.up.remove(id)
        if places[address]?.up.isEmpty == true { places[address]?.wanted = 1 }
        var wait = places[address]?.backOff.next(using: &control.random) ?? .zero
        if case .closedByNeighbor(let closing) = reason {
            switch closing.reason {
            case .toSelf:
                own.insert(address)
                places[address] = nil
                return
            // The sibling has lanes to us: look again only in case they go.
            case .superfluous: wait = BackOff.longest
            default: break
            }
        }
        places[address]?.retryAt = EventLoop.clock() + wait
        if places[address]?.isListed == false, places[address]?.up.isEmpty == true {
            places[address] = nil
        }
        control.loop.schedule(after: wait) { [weak self] _ in self?.fill(address) }
        if wasUp { resolve() }
    }

    /// A sibling that dialed us is gone: whoever was superfluous may be needed.
    func siblingLost() {
        for address in places.keys.sorted() {
            guard places[address]?.up.isEmpty == true else { continue }
            places[address]?.retryAt = control.loop.now
            fill(address)
        }
    }
}
