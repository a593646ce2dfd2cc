import NetworkModel
import Routing
import TestSupport

/// Gateways as values on a virtual clock, joined by a network that delays, loses, repeats and reorders.
struct SimulatedNetwork {
    struct Link: Hashable {
        let from: ProxyID
        let to: ProxyID
        let name: EdgeName
    }

    struct Weather {
        var loss = 0.0
        var duplication = 0.0
        var delay: ClosedRange<Int> = 1...1
    }

    private struct Event {
        let at: Instant
        let order: UInt64
        let run: Action
    }

    private enum Action {
        case deliver(RoutingMessage, from: ProxyID, to: ProxyID, epoch: Int)
        case adjacency(ProxyID, neighbor: ProxyID)
    }

    private(set) var now = Instant.milliseconds(1)
    private(set) var instances: [ProxyID: RoutingInstance] = [:]
    private(set) var links: [Link: Int] = [:]
    private(set) var messageCount = 0
    private(set) var changes: [ProxyID: Int] = [:]
    private var costs: [ProxyID: [LinkName: LinkCost]] = [:]
    private var serviceCosts: [ProxyID: [LinkName: [ServiceAddress: LinkCost]]] = [:]
    private var events: [Event] = []
    private var order: UInt64 = 0
    /// Frames of an adjacency that has ended since are dropped.
    private var epochs: [Set<ProxyID>: Int] = [:]
    private var signatures: [[UInt8]: SignedLSA] = [:]
    private var random: SeededGenerator
    var weather = Weather()
    /// By how many seconds a gateway's wall clock is ahead.
    var skews: [ProxyID: Int64] = [:]
    /// Every LSA that was ever signed, as somebody may have recorded it.
    var recorded: [SignedLSA] { signatures.values.sorted { $0.lsa.sequence < $1.lsa.sequence } }

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func add(_ id: ProxyID, services: [ServicePort: UInt32] = [:]) {
        instances[id] = RoutingInstance(origin: id)
        feed(.interest(.all), to: id)
        feed(.credentials(certificateChain: [], agreementKey: [UInt8(id.instance & 255)]), to: id)
        feed(.services(services), to: id)
    }

    mutating func feed(_ input: RoutingInput, to id: ProxyID) {
        let wall = wall(now) + (skews[id] ?? 0)
        guard let outputs = instances[id]?.handle(input, at: now, wall: wall) else { return }
        for output in outputs {
            switch output {
            case .sign(let lsa):
                let bytes = Array("\(lsa.origin)#\(lsa.fragment)#\(lsa.sequence)".utf8)
                let signed = SignedLSA(lsa: lsa, bytes: bytes)
                signatures[bytes] = signed
                feed(.signed(signed), to: id)
            case .send(let message, let neighbor):
                messageCount += 1
                transmit(message, from: id, to: neighbor)
            case .routesChanged, .loadsChanged:
                changes[id, default: 0] += 1
            }
        }
    }

    private mutating func transmit(_ message: RoutingMessage, from: ProxyID, to: ProxyID) {
        let copies =
            Double.random(in: 0..<1, using: &random) < weather.loss
            ? 0 : Double.random(in: 0..<1, using: &random) < weather.duplication ? 2 : 1
        for _ in 0..<copies {
            schedule(
                .deliver(message, from: from, to: to, epoch: epochs[[from, to]] ?? 0),
                after: Int.random(in: weather.delay, using: &random)
            )
        }
    }

    private mutating func schedule(_ action: Action, after milliseconds: Int) {
        order += 1
        let event = Event(at: now + .milliseconds(milliseconds), order: order, run: action)
        let index = events.firstIndex { ($0.at, $0.order) < (event.at, event.order) }
        events.insert(event, at: index ?? events.count)
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
        setCost(name, cost, at: from)
        links[Link(from: from, to: to, name: .link(dialer: from.site, name: name))] = cost
        changed(from, to)
    }

    mutating func mesh(_ from: ProxyID, _ to: ProxyID) {
        links[Link(from: from, to: to, name: .mesh)] = 0
        changed(from, to)
    }

    mutating func cut(_ link: Link) {
        links[link] = nil
        epochs[[link.from, link.to], default: 0] += 1
        changed(link.from, link.to)
    }

    mutating func changeCost(_ link: Link, to cost: Int) {
        guard case .link(_, let name) = link.name else { return }
        links[link] = cost
        setCost(name, cost, at: link.from)
    }

    mutating func remove(_ id: ProxyID) {
        for link in links.keys where link.from == id || link.to == id { cut(link) }
        instances[id] = nil
    }

    private mutating func changed(_ left: ProxyID, _ right: ProxyID) {
        for (id, neighbor) in [(left, right), (right, left)] {
            schedule(
                .adjacency(id, neighbor: neighbor),
                after: Int.random(in: 0...20, using: &random)
            )
        }
    }

    // MARK: Time

    /// Runs for so long; every input is a message, a change of an adjacency, or a deadline.
    mutating func run(milliseconds: Int) {
        let end = now + .milliseconds(milliseconds)
        while true {
            let due = instances.compactMap { id, instance in instance.nextDeadline.map { (id, $0) }
            }
            .min { ($0.1, $0.0) < ($1.1, $1.0) }
            let event = events.last
            let next = min(due?.1 ?? end, event?.at ?? end)
            guard next < end else { break }
            now = max(now, next)
            if let event, event.at <= (due?.1 ?? end) {
                events.removeLast()
                perform(event.run)
            } else if let due {
                feed(.deadline, to: due.0)
            }
        }
        now = end
    }

    private mutating func perform(_ action: Action) {
        switch action {
        case .adjacency(let id, let neighbor):
            let edges = links.keys.filter {
                [$0.from, $0.to] == [id, neighbor] || [$0.to, $0.from] == [id, neighbor]
            }
            feed(.adjacency(neighbor: neighbor, edges: edges.map(\.name)), to: id)
        case .deliver(let message, let from, let to, let epoch):
            guard epoch == epochs[[from, to]] ?? 0 else { return }
            switch message {
            case .lsa(let bytes):
                guard let signed = signatures[bytes] else { return }
                let header = signed.lsa.header
                if instances[to]?.isTooSoon(header, at: now) == true { return }
                if instances[to]?.isNews(header) == true {
                    feed(.received(signed, from: from), to: to)
                } else {
                    feed(.receivedKnown(signed.lsa.header, from: from), to: to)
                }
            case .acknowledgment(let headers): feed(.acknowledged(headers, from: from), to: to)
            case .summary(let summary): feed(.summary(summary, from: from), to: to)
            case .summaryAcknowledgment(let number, let wanted):
                feed(.summaryAcknowledged(number: number, wanted: wanted, from: from), to: to)
            }
        }
    }

    // MARK: Oracle

    /// What a link costs for a service, or for all that it has no cost of its own for.
    private func cost(_ link: Link, of service: ServiceAddress?) -> Int? {
        guard let service, case .link(_, let name) = link.name,
            let own = serviceCosts[link.from]?[name]?[service]
        else { return links[link] }
        return Int(own.value)
    }

    /// Floyd-Warshall over the links as they are: the cost between every two gateways, for one service.
    func distances(of service: ServiceAddress? = nil) -> [ProxyID: [ProxyID: Int]] {
        var costs: [ProxyID: [ProxyID: Int]] = [:]
        for id in instances.keys { costs[id, default: [:]][id] = 0 }
        for link in links.keys {
            let cost = cost(link, of: service) ?? 0
            let known = costs[link.from]?[link.to] ?? .max
            costs[link.from, default: [:]][link.to] = min(known, cost)
            costs[link.to, default: [:]][link.from] = min(known, cost)
        }
        for middle in instances.keys {
            for from in instances.keys {
                guard let first = costs[from]?[middle] else { continue }
                for to in instances.keys {
                    guard let second = costs[middle]?[to] else { continue }
                    let known = costs[from]?[to] ?? .max
                    costs[from]?[to] = min(known, first + second)
                }
            }
        }
        return costs
    }

    /// What is wrong with what the gateways believe; empty once everything has settled.
    func complaints() -> [String] {
        var complaints: [String] = []
        let distances = distances()
        for (id, instance) in instances.sorted(by: { $0.key < $1.key }) {
            let reachable = (distances[id] ?? [:]).filter { $0.key != id }
            let believed = instance.table.gateways.mapValues { Int($0.cost.value) }
            if believed != reachable {
                complaints.append("\(id.site) believes \(believed), not \(reachable)")
            }
            for (gateway, route) in instance.table.gateways
            where route.hops.last != gateway
                || length(of: route.hops, from: id) != Int(route.cost.value)
            {
                complaints.append("\(id.site) has the route \(route.hops) to \(gateway)")
            }
            if !instance.isQuiet { complaints.append("\(id.site) is not quiet") }
        }
        return complaints
    }

    /// Whose databases say something else of those who can be reached than their neighbors' do.
    func differences() -> [String] {
        let distances = distances()
        return links.keys.filter { link in
            let reached = Set(distances[link.from]?.keys.map(\.self) ?? [])
            let heard = { (id: ProxyID) in
                (self.instances[id]?.headers ?? []).filter { reached.contains($0.key.origin) }
            }
            return heard(link.from) != heard(link.to)
        }
        .map { "\($0.from) and \($0.to) have other databases" }
    }

    /// What the hops cost for a service; nil when there is no such way.
    private func length(of hops: [ProxyID], from id: ProxyID, of service: ServiceAddress? = nil)
        -> Int?
    {
        let all = [id] + hops
        let steps = zip(all, hops).map { from, to in
            links.keys.filter { ($0.from, $0.to) == (from, to) || ($0.to, $0.from) == (from, to) }
                .compactMap { cost($0, of: service) }.min()
        }
        return steps.contains(nil) ? nil : steps.compactMap(\.self).reduce(0, +)
    }

    /// What is wrong with the targets of a service that the gateways in `servers` serve.
    func complaints(of service: ServicePort, servedBy servers: Set<ProxyID>) -> [String] {
        let distances = distances(of: service.address)
        return instances.sorted { $0.key < $1.key }.flatMap { id, instance in
            let targets = instance.table.services[service] ?? []
            var expected: [SiteID: Int] = [:]
            for server in servers where server.site != id.site {
                guard let cost = distances[id]?[server] else { continue }
                expected[server.site] = min(expected[server.site] ?? .max, cost)
            }
            let usable = targets.filter(\.target.reach.isUsable)
            let believed = Dictionary(
                uniqueKeysWithValues: usable.map {
                    ($0.site, Int($0.target.reach.cost?.value ?? 0))
                }
            )
            let detours = usable.filter { target in
                target.routes.contains {
                    length(of: $0, from: id, of: service.address) != believed[target.site]
                }
            }
            return (believed == expected ? [] : ["\(id.site): \(believed), not \(expected)"])
                + detours.map { "\(id.site) has other ways to \($0.site): \($0.routes)" }
        }
    }
}
