import NetworkModel
import TestSupport
import Testing

@testable import Routing

/// One gateway that hears of a network which changes, one thing after the other.
private struct ChangingNetwork {
    struct Joint {
        let dialer: ProxyID
        let acceptor: ProxyID
        let name: EdgeName
        var cost: Int
        /// Whether each end names it.
        var dialed = true
        var accepted = true
    }

    var instance = RoutingInstance(origin: gateway(0))
    private var random: SeededGenerator
    private var gateways: [ProxyID] = []
    private var joints: [Joint] = []
    private var present: Set<ProxyID> = []
    private var overloaded: Set<ProxyID> = []
    private var offers: [ProxyID: [LSAService]] = [:]
    private var serviceCosts: [ProxyID: [LSAServiceCost]] = [:]
    private var told: [ProxyID: Bool] = [:]
    private var sequence: UInt64 = 1
    private var life: UInt64 = 10
    private var now = Instant.milliseconds(1_000)
    private let services = (0..<3).map { service("s\($0)/p") }

    /// `isWide`: most of it is one chain, longer than a path may be.
    init(_ generator: SeededGenerator, isWide: Bool) {
        random = generator
        let count = isWide ? 26 : Int.random(in: 4...11, using: &random)
        gateways = (0..<count).map { gateway($0) }
        if !isWide {
            for index in 1..<count where Int.random(in: 0..<4, using: &random) == 0 {
                gateways.append(gateway(index, 2))
                add(gateway(index), gateway(index, 2), .mesh, cost: 0)
            }
        }
        for index in 1..<count {
            let near = isWide ? index - 1 : Int.random(in: 0..<index, using: &random)
            link(gateway(near), gateway(index))
        }
        let more = isWide ? 4 : Int.random(in: 0...2 * count, using: &random)
        for _ in 0..<more { link(anyone(), anyone()) }
        feed(.interest(.all))
        for gateway in gateways {
            present.insert(gateway)
            offer(gateway)
        }
        for gateway in gateways { tell(gateway) }
    }

    private mutating func anyone() -> ProxyID {
        gateways[Int.random(in: 0..<gateways.count, using: &random)]
    }

    private mutating func cost() -> Int { .random(in: 1...4, using: &random) }

    private mutating func link(_ from: ProxyID, _ to: ProxyID) {
        let number = Int.random(in: 0..<1_000, using: &random)
        let name = EdgeName.link(dialer: from.site, name: RoutingTests.link("l\(number)"))
        guard from.site != to.site, !joints.contains(where: { $0.name == name }) else { return }
        add(from, to, name, cost: cost())
    }

    private mutating func add(_ from: ProxyID, _ to: ProxyID, _ name: EdgeName, cost: Int) {
        joints.append(Joint(dialer: from, acceptor: to, name: name, cost: cost))
    }

    private mutating func offer(_ gateway: ProxyID) {
        offers[gateway] = services.compactMap { service in
            Bool.random(using: &random)
                ? LSAService(service: service, endpoints: .random(in: 0...2, using: &random)) : nil
        }
    }

    // MARK: What the gateway under test hears

    mutating func feed(_ input: RoutingInput) { _ = instance.handle(input, at: now) }

    private func edges(of id: ProxyID) -> [LSAEdge] {
        joints.flatMap { joint -> [LSAEdge] in
            var edges: [LSAEdge] = []
            let cost = joint.name == .mesh ? nil : RoutingTests.cost(joint.cost)
            if joint.dialer == id, joint.dialed {
                edges.append(LSAEdge(neighbor: joint.acceptor, name: joint.name, cost: cost))
            }
            if joint.acceptor == id, joint.accepted {
                edges.append(LSAEdge(neighbor: joint.dialer, name: joint.name, cost: nil))
            }
            return edges
        }
        .sorted()
    }

    /// Hands over what a gateway says now.
    private mutating func tell(_ id: ProxyID) {
        now = now + .milliseconds(100)
        guard id != gateway(0) else { return tellOwn() }
        guard present.contains(id) else { return }
        sequence += 1
        let lsa = LSA(
            origin: id,
            sequence: sequence,
            issued: wall(now),
            overload: overloaded.contains(id),
            displayName: "site-\(id.site)",
            serviceCosts: (serviceCosts[id] ?? []).sorted(),
            edges: edges(of: id),
            services: offers[id] ?? []
        )
        // Whoever tells it: there need not be a way.
        let messenger = gateway(99)
        feed(
            .adjacency(
                neighbor: messenger,
                edges: [.link(dialer: site(99), name: RoutingTests.link("m"))]
            )
        )
        feed(.received(SignedLSA(lsa: lsa, bytes: [1]), from: messenger))
    }

    private mutating func tellOwn() {
        var costs: [LinkName: LinkCost] = [:]
        for joint in joints where joint.dialer == gateway(0) {
            guard case .link(_, let name) = joint.name else { continue }
            costs[name] = RoutingTests.cost(joint.cost)
        }
        var single: [LinkName: [ServiceAddress: LinkCost]] = [:]
        for entry in serviceCosts[gateway(0)] ?? [] {
            single[entry.link, default: [:]][entry.service] = entry.cost
        }
        feed(.configure(RoutingConfiguration(linkCosts: costs, serviceCosts: single)))
        let edges = edges(of: gateway(0))
        for id in gateways where id != gateway(0) {
            let names = edges.filter { $0.neighbor == id }.map(\.name)
            feed(.adjacency(neighbor: id, edges: names))
        }
    }

    // MARK: Changes

    mutating func change() {
        now = now + .seconds(Int.random(in: 0..<60, using: &random) == 0 ? 61 : 1)
        let index = Int.random(in: 0..<joints.count, using: &random)
        switch Int.random(in: 0..<20, using: &random) {
        case 0...6:
            joints[index].cost = cost()
            tell(joints[index].dialer)
        case 7...9:
            joints[index].dialed.toggle()
            tell(joints[index].dialer)
        case 10...12:
            joints[index].accepted.toggle()
            tell(joints[index].acceptor)
        case 13: toggle()
        case 14: restart()
        case 15, 16:
            let id = anyone()
            offer(id)
            tell(id)
        case 17: changeServiceCost(joints[index])
        case 18:
            let from = anyone()
            link(from, anyone())
            for joint in joints.suffix(1) { for id in [joint.acceptor, joint.dialer] { tell(id) } }
        default:
            let id = anyone()
            if id != gateway(0), overloaded.insert(id).inserted == false { overloaded.remove(id) }
            tell(id)
        }
        feed(.deadline)
        now = now + .seconds(1)
        feed(.deadline)
        renew()
    }

    /// Nobody hears of a gateway any more, or again.
    private mutating func toggle() {
        let id = anyone()
        guard id != gateway(0) else { return }
        for index in joints.indices where joints[index].dialer == id {
            joints[index].accepted.toggle()
        }
        for index in joints.indices where joints[index].acceptor == id {
            joints[index].dialed.toggle()
        }
        for joint in joints {
            if joint.dialer == id { tell(joint.acceptor) }
            if joint.acceptor == id { tell(joint.dialer) }
        }
    }

    /// Another process takes a gateway's place; the old one's advertisement stays for a while.
    private mutating func restart() {
        let old = anyone()
        guard old != gateway(0), let place = gateways.firstIndex(of: old) else { return }
        life += 1
        let new = ProxyID(site: old.site, instance: life)
        gateways[place] = new
        joints = joints.map { joint in
            Joint(
                dialer: joint.dialer == old ? new : joint.dialer,
                acceptor: joint.acceptor == old ? new : joint.acceptor,
                name: joint.name,
                cost: joint.cost,
                dialed: joint.dialed,
                accepted: joint.accepted
            )
        }
        present.insert(new)
        offers[new] = offers[old]
        feed(.adjacency(neighbor: old, edges: []))
        for id in gateways { tell(id) }
    }

    private mutating func changeServiceCost(_ joint: Joint) {
        guard case .link(_, let name) = joint.name,
            let service = services.randomElement(using: &random)
        else { return }
        let kept = (serviceCosts[joint.dialer] ?? []).filter {
            $0.link != name || $0.service != service.address
        }
        let entry = LSAServiceCost(
            link: name,
            service: service.address,
            cost: RoutingTests.cost(cost())
        )
        serviceCosts[joint.dialer] = Bool.random(using: &random) ? kept : kept + [entry]
        tell(joint.dialer)
    }

    /// Before what gateways say expires.
    private mutating func renew() {
        guard Int.random(in: 0..<100, using: &random) == 0 else { return }
        for id in gateways { tell(id) }
        feed(.deadline)
        now = now + .seconds(2)
        feed(.deadline)
    }

    // MARK: What it should know

    /// Where the gateway under test differs from computations of the whole; empty when it does not.
    func differences() -> [String] {
        let database = instance.database
        let whole = WholeNetwork(
            origin: gateway(0),
            rootEdges: instance.ownEdges,
            database: database
        )
        var found: [String] = []
        for id in Set(database.origins).union(gateways).subtracting([gateway(0)]) {
            let (equal, detour) = (
                instance.ways.common.equal(to: id), instance.ways.common.detour(to: id)
            )
            if equal != whole.paths[id] {
                found.append(
                    "to \(id): \(String(describing: equal)), not \(String(describing: whole.paths[id]))"
                )
            }
            if detour != whole.detours[id] {
                found.append(
                    "around to \(id): \(String(describing: detour)), not \(String(describing: whole.detours[id]))"
                )
            }
        }
        let connected = Set(instance.connected).union([gateway(0)])
        if connected != whole.connected { found.append("connected") }
        if instance.ways.standing.lost != whole.lost(from: gateway(0)) { found.append("lost") }
        return found + differencesOfTable(database) + differencesOfCosts(database)
    }

    /// The table, against all of it made anew.
    private func differencesOfTable(_ database: LSDB) -> [String] {
        var fresh = ServiceWays(origin: gateway(0))
        _ = fresh.update(
            Set(database.origins).union([gateway(0)]),
            ownEdges: instance.ownEdges,
            ownCosts: instance.ownServiceCosts,
            database: database
        )
        var found: [String] = []
        for service in services {
            let paths = fresh.paths(of: service.address)
            let sites = Set(database.origins.map(\.site)).subtracting([site(0)]).sorted()
            let targets = sites.compactMap { site in
                let offers = database.origins(of: site).flatMap { id in
                    database.advertisements(of: id).flatMap(\.services)
                        .filter { $0.service == service }.map {
                            (gateway: id, endpoints: $0.endpoints)
                        }
                }
                return paths.target(site, offers, fresh.standing)
            }
            if instance.table.services[service] ?? [] != targets {
                found.append("targets of \(service)")
            }
            found += differences(of: service.address, paths, database)
        }
        return found
    }

    /// The ways of a service, against the whole network at its costs.
    private func differences(
        of service: ServiceAddress,
        _ paths: Paths,
        _ database: LSDB
    ) -> [String] {
        var profile: CostProfile = [:]
        for entry in instance.ownServiceCosts where entry.service == service {
            profile[CostOwner(gateway: gateway(0), link: entry.link)] = entry.cost
        }
        for id in database.origins where id != gateway(0) {
            for entry in database.advertisements(of: id).flatMap(\.serviceCosts)
            where entry.service == service {
                profile[CostOwner(gateway: id, link: entry.link)] = entry.cost
            }
        }
        let whole = WholeNetwork(
            origin: gateway(0),
            rootEdges: instance.ownEdges,
            database: database,
            profile: profile
        )
        var ways = instance.ways
        let kept = ways.paths(of: service)
        return database.origins.compactMap { id in
            guard id != gateway(0) else { return nil }
            let isSame =
                kept.equal(to: id) == whole.paths[id] && kept.detour(to: id) == whole.detours[id]
                && paths.equal(to: id) == whole.paths[id]
            return isSame ? nil : "\(service) to \(id)"
        }
    }

    /// Floyd and Warshall over the edges that both ends name; nobody who drains is passed through.
    private func differencesOfCosts(_ database: LSDB) -> [String] {
        let nodes = [gateway(0)] + database.origins.filter { $0 != gateway(0) }
        guard nodes.count <= RoutingLimits.hops else { return [] }
        let named = nodes.map { $0 == gateway(0) ? instance.ownEdges : database.edges(of: $0) }
        var costs = nodes.map { _ in nodes.map { _ in Int.max / 4 } }
        for from in nodes.indices {
            for edge in named[from] {
                guard let to = nodes.firstIndex(of: edge.neighbor),
                    let twin = named[to].first(where: {
                        $0.neighbor == nodes[from] && $0.name == edge.name
                    })
                else { continue }
                let cost = edge.name == .mesh ? 0 : Int((edge.cost ?? twin.cost)?.value ?? .max)
                costs[from][to] = min(costs[from][to], cost)
            }
        }
        for middle in nodes.indices
        where middle == 0 || database.first(of: nodes[middle])?.overload != true {
            for from in nodes.indices {
                for to in nodes.indices {
                    costs[from][to] = min(costs[from][to], costs[from][middle] + costs[middle][to])
                }
            }
        }
        return nodes.indices.dropFirst().compactMap { node in
            let known = instance.table.gateways[nodes[node]].map { Int($0.cost.value) }
            let cost = costs[0][node] < Int.max / 4 ? costs[0][node] : nil
            return known == cost ? nil : "\(nodes[node]) costs \(String(describing: known))"
        }
    }
}

@Suite("Paths kept up to date")
struct IncrementalPathsTests {
    @Test(
        "after every change they are those of the whole network, of Dijkstra and of Floyd and Warshall",
        arguments: Seeds.some(networkCount(20))
    )
    func againstTheWhole(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var network = ChangingNetwork(
            random,
            isWide: Int.random(in: 0..<8, using: &random) == 0
        )
        for number in 0..<200 {
            network.change()
            let differences = network.differences()
            #expect(differences == [], "seed \(seed), change \(number)")
            guard differences.isEmpty else { return }
        }
    }
}
