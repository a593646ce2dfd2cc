import NetworkModel
import TestSupport
import Wire

@testable import Routing

/// Gateways as values on a virtual clock, joined by a network that delays, loses, repeats and reorders.
struct SimulatedNetwork {
    struct Link: Hashable {
        let from: ProxyID
        let to: ProxyID
        let name: EdgeName

        var pair: Pair { Pair(from, to) }
    }

    /// Two gateways, whichever comes first.
    struct Pair: Hashable {
        private let low: ProxyID
        private let high: ProxyID

        init(_ left: ProxyID, _ right: ProxyID) {
            (low, high) = left < right ? (left, right) : (right, left)
        }
    }

    struct Weather {
        var loss = 0.0
        var duplication = 0.0
        var delay: ClosedRange<Int> = 1...1
        /// How much later than it happens an end of a link sees that it is there, or not.
        var notice: ClosedRange<Int> = 0...20
    }

    private enum Event {
        case deliver(RoutingMessage, from: ProxyID, to: ProxyID, epoch: Int)
        case adjacency(ProxyID, neighbor: ProxyID)
    }

    /// What is between two gateways.
    private struct Joint {
        var names: Set<EdgeName> = []
        /// Frames of an adjacency that has ended since are dropped.
        var epoch = 0
    }

    /// An advertisement, and the bytes of the frame that it would be.
    private struct Signature {
        let signed: SignedLSA
        let size: Int
    }

    private(set) var now = Instant.milliseconds(1)
    /// Those that are there; where each is, is in `places`.
    private var nodes: [RoutingInstance] = []
    private var places: [ProxyID: Int] = [:]
    private(set) var links: [Link: Int] = [:]
    private(set) var messageCount = 0
    /// Of all frames sent; without those around them.
    private(set) var byteCount = 0
    private(set) var changes: [ProxyID: Int] = [:]
    /// When somebody's table changed last.
    private(set) var lastChange = Instant.milliseconds(1)
    private var costs: [ProxyID: [LinkName: LinkCost]] = [:]
    private var serviceCosts: [ProxyID: [LinkName: [ServiceAddress: LinkCost]]] = [:]
    private var events = EventQueue<Event>()
    private var deadlines = WakeList()
    private var joints: [Pair: Joint] = [:]
    private var signatures: [[UInt8]: Signature] = [:]
    private var random: SeededGenerator
    var weather = Weather()
    /// By how many seconds a gateway's wall clock is ahead.
    var skews: [ProxyID: Int64] = [:]
    /// Every LSA that was ever signed, as somebody may have recorded it.
    var recorded: [SignedLSA] {
        signatures.values.map(\.signed).sorted { $0.lsa.sequence < $1.lsa.sequence }
    }

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    var instances: [ProxyID: RoutingInstance] { places.mapValues { nodes[$0] } }
    /// Those that are there, in order.
    var gateways: [ProxyID] { places.keys.sorted() }

    subscript(id: ProxyID) -> RoutingInstance? { places[id].map { nodes[$0] } }

    /// `predecessor`: what this gateway was before it started again.
    mutating func add(
        _ id: ProxyID,
        services: [ServicePort: UInt32] = [:],
        interest: ServiceInterest = .all,
        after predecessor: ProxyID? = nil
    ) {
        places[id] = nodes.count
        nodes.append(RoutingInstance(origin: id, predecessors: predecessor.map { [$0] } ?? []))
        feed(.interest(interest), to: id)
        let chain = [[UInt8](repeating: 2, count: 500), [UInt8](repeating: 3, count: 450)]
        let key = [UInt8](repeating: UInt8(id.instance & 255), count: 32)
        feed(.credentials(certificateChain: chain, agreementKey: key), to: id)
        feed(.services(services), to: id)
    }

    mutating func feed(_ input: RoutingInput, to id: ProxyID) {
        let wall = wall(now) + (skews[id] ?? 0)
        guard let place = places[id] else { return }
        let outputs = nodes[place].handle(input, at: now, wall: wall)
        deadlines.set(id, at: nodes[place].nextDeadline)
        for output in outputs {
            switch output {
            case .sign(let lsa): feed(.signed(sign(lsa)), to: id)
            case .send(let message, let neighbor): transmit(message, from: id, to: neighbor)
            case .routesChanged:
                changes[id, default: 0] += 1
                lastChange = now
            case .loadsChanged: changes[id, default: 0] += 1
            }
        }
    }

    /// Its bytes are its name here: what it would be as a frame is counted only.
    private mutating func sign(_ lsa: LSA) -> SignedLSA {
        let name = Array("\(lsa.origin)#\(lsa.fragment)#\(lsa.sequence)".utf8)
        let signed = SignedLSA(lsa: lsa, bytes: name)
        let bytes = LSACodec.seal(
            body: LSACodec.encodeBody(lsa),
            signature: [UInt8](repeating: 4, count: 72)
        )
        signatures[name] = Signature(signed: signed, size: bytes.count)
        return signed
    }

    private func size(of message: RoutingMessage) -> Int {
        if case .lsa(let name) = message { return signatures[name]?.size ?? 0 }
        var writer = FrameWriter()
        message.encode(into: &writer)
        return writer.bytes.count
    }

    private mutating func transmit(_ message: RoutingMessage, from: ProxyID, to: ProxyID) {
        messageCount += 1
        byteCount += size(of: message)
        let epoch = joints[Pair(from, to)]?.epoch ?? 0
        let copies =
            Double.random(in: 0..<1, using: &random) < weather.loss
            ? 0 : Double.random(in: 0..<1, using: &random) < weather.duplication ? 2 : 1
        for _ in 0..<copies {
            let delay = Int.random(in: weather.delay, using: &random)
            events.add(
                .deliver(message, from: from, to: to, epoch: epoch),
                at: now + .milliseconds(delay)
            )
        }
    }

    // MARK: Topology

    mutating func setCost(_ name: LinkName, _ cost: Int?, at id: ProxyID) {
        costs[id, default: [:]][name] = cost.map(RoutingTests.cost)
        configure(id)
    }

    /// What a Link costs for one service; nil: what it costs for all.
    mutating func setCost(_ link: Link, of service: ServiceAddress, _ cost: Int?) {
        guard case .link(_, let name) = link.name else { return }
        serviceCosts[link.from, default: [:]][name, default: [:]][service] = cost.map(
            RoutingTests.cost
        )
        configure(link.from)
    }

    private mutating func configure(_ id: ProxyID) {
        let configuration = RoutingConfiguration(
            linkCosts: costs[id] ?? [:],
            serviceCosts: serviceCosts[id] ?? [:]
        )
        feed(.configure(configuration), to: id)
    }

    /// `from` dials `to`; both see the adjacency a little later, not at the same time.
    mutating func connect(_ from: ProxyID, _ to: ProxyID, _ name: LinkName, cost: Int) {
        join(Link(from: from, to: to, name: .link(dialer: from.site, name: name)), cost: cost)
    }

    mutating func mesh(_ from: ProxyID, _ to: ProxyID) {
        join(Link(from: from, to: to, name: .mesh), cost: 0)
    }

    mutating func join(_ link: Link, cost: Int) {
        if case .link(_, let name) = link.name { setCost(name, cost, at: link.from) }
        links[link] = cost
        joints[link.pair, default: Joint()].names.insert(link.name)
        changed(link)
    }

    mutating func cut(_ link: Link) {
        links[link] = nil
        joints[link.pair]?.names.remove(link.name)
        joints[link.pair]?.epoch += 1
        changed(link)
    }

    mutating func changeCost(_ link: Link, to cost: Int) {
        guard case .link(_, let name) = link.name else { return }
        links[link] = cost
        setCost(name, cost, at: link.from)
    }

    /// Tells everybody at once what all say, and that their neighbors hold it: as after a start that took its time.
    mutating func introduce() {
        let loss = weather.loss
        weather.loss = 1
        run(milliseconds: 5_000)
        var newest: [LSAKey: SignedLSA] = [:]
        for signed in recorded { newest[signed.lsa.key] = signed }
        let headers = newest.values.map(\.lsa.header)
        var neighbors: [ProxyID: Set<ProxyID>] = [:]
        for link in links.keys {
            neighbors[link.from, default: []].insert(link.to)
            neighbors[link.to, default: []].insert(link.from)
        }
        for (id, all) in neighbors {
            guard let first = all.first else { continue }
            for signed in newest.values where signed.lsa.origin != id {
                feed(.received(signed, from: first), to: id)
            }
            for neighbor in all { feed(.acknowledged(headers, from: neighbor), to: id) }
        }
        weather.loss = loss
    }

    /// The links of a gateway, in order.
    func links(of id: ProxyID) -> [Link] {
        sorted(links.keys.filter { $0.from == id || $0.to == id })
    }

    /// In an order that is the same in every run.
    func sorted(_ links: some Sequence<Link>) -> [Link] {
        links.sorted { ($0.from, $0.to, $0.name) < ($1.from, $1.to, $1.name) }
    }

    /// It is there no more, and its neighbors see that.
    mutating func remove(_ id: ProxyID) {
        for link in links(of: id) { cut(link) }
        if let place = places.removeValue(forKey: id) {
            nodes[place] = RoutingInstance(origin: id)
        }
        deadlines.set(id, at: nil)
    }

    private mutating func changed(_ link: Link) {
        for (id, neighbor) in [(link.from, link.to), (link.to, link.from)] {
            let delay = Int.random(in: weather.notice, using: &random)
            events.add(.adjacency(id, neighbor: neighbor), at: now + .milliseconds(delay))
        }
    }

    // MARK: Time

    /// Runs for so long; every input is a message, a change of an adjacency, or a deadline.
    mutating func run(milliseconds: Int) {
        let end = now + .milliseconds(milliseconds)
        while true {
            let (event, deadline) = (events.next ?? end, deadlines.next ?? end)
            let next = min(event, deadline)
            guard next < end else { break }
            now = max(now, next)
            if event <= deadline {
                for event in events.popFirst() { perform(event) }
            } else {
                for id in deadlines.popDue(at: now) { feed(.deadline, to: id) }
            }
        }
        now = end
    }

    private mutating func perform(_ event: Event) {
        switch event {
        case .adjacency(let id, let neighbor):
            let names = joints[Pair(id, neighbor)]?.names ?? []
            feed(.adjacency(neighbor: neighbor, edges: Array(names)), to: id)
        case .deliver(let message, let from, let to, let epoch):
            guard epoch == joints[Pair(from, to)]?.epoch ?? 0 else { return }
            switch message {
            case .lsa(let name):
                guard let signed = signatures[name]?.signed, let place = places[to] else { return }
                let header = signed.lsa.header
                if !nodes[place].isNews(header) {
                    feed(.receivedKnown(header, from: from), to: to)
                } else if !nodes[place].isTooSoon(header, at: now) {
                    feed(.received(signed, from: from), to: to)
                }
            case .acknowledgment(let headers): feed(.acknowledged(headers, from: from), to: to)
            case .summary(let summary): feed(.summary(summary, from: from), to: to)
            case .summaryAcknowledgment(let number, let wanted):
                feed(.summaryAcknowledged(number: number, wanted: wanted, from: from), to: to)
            }
        }
    }

    // MARK: What is true

    /// What the links cost, for one service or for all that no Link has a cost of its own for.
    func trueCosts(of service: ServiceAddress? = nil) -> TrueCosts {
        TrueCosts(
            places.keys,
            links: links.map { link, cost in
                var own: LinkCost?
                if let service, case .link(_, let name) = link.name {
                    own = serviceCosts[link.from]?[name]?[service]
                }
                return (link.from, link.to, own.map { Int($0.value) } ?? cost)
            }
        )
    }
}
