import Foundation
import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Routing

/// What routing takes as the network grows: the table of docs/scale.md.
@Suite("Growth")
struct GrowthTests {
    /// A random connected network of sites with a gateway each, as one of them knows it.
    private struct Known {
        var instance = RoutingInstance(origin: gateway(0))
        var edges: [[LSAEdge]]
        /// The bytes of the last advertisement.
        private(set) var advertised = 0
        var random = SeededGenerator(seed: 42)
        var now = Instant.milliseconds(1_000)
        private var links = 0
        private var sequence: UInt64 = 1

        init(sites: Int, links count: Int) {
            edges = Array(repeating: [], count: sites)
            for far in 1..<sites { join(far, Int.random(in: 0..<far, using: &random)) }
            while links < count {
                let near = Int.random(in: 1..<sites, using: &random)
                let far = Int.random(in: 1..<sites, using: &random)
                if near != far { join(near, far) }
            }
            feed(.interest(ServiceInterest(services: Set((0..<5).map(offered)))))
            for edge in edges[0] {
                let names = edges[0].filter { $0.neighbor == edge.neighbor }.map(\.name)
                feed(.adjacency(neighbor: edge.neighbor, edges: names))
            }
            for index in 1..<sites {
                learn(index)
                now = now + .milliseconds(100)
            }
            now = now + .seconds(5)
            feed(.deadline)
        }

        private func offered(_ number: Int) -> ServicePort { service("s\(number)/p") }

        private mutating func join(_ near: Int, _ far: Int) {
            let name = EdgeName.link(dialer: site(near), name: link("l\(links)"))
            links += 1
            let cost = cost(Int.random(in: 1...20, using: &random))
            edges[near].append(LSAEdge(neighbor: gateway(far), name: name, cost: cost))
            edges[far].append(LSAEdge(neighbor: gateway(near), name: name, cost: nil))
        }

        mutating func learn(_ index: Int) {
            sequence += 1
            let lsa = LSA(
                origin: gateway(index),
                sequence: sequence,
                issued: wall(now),
                displayName: "site-\(index)",
                agreementKey: [UInt8](repeating: 1, count: 32),
                certificateChain: [
                    [UInt8](repeating: 2, count: 500), [UInt8](repeating: 3, count: 450),
                ],
                edges: edges[index].sorted(),
                services: (0..<5).map { LSAService(service: offered($0), endpoints: 1) }
            )
            let bytes = LSACodec.seal(
                body: LSACodec.encodeBody(lsa),
                signature: [UInt8](repeating: 4, count: 72)
            )
            advertised = bytes.count
            feed(.received(SignedLSA(lsa: lsa, bytes: bytes), from: edges[0][0].neighbor))
        }

        mutating func feed(_ input: RoutingInput) { _ = instance.handle(input, at: now) }

        /// A link that is there no more, by the words of both its ends.
        mutating func cut() {
            let near = Int.random(in: 1..<edges.count, using: &random)
            guard let edge = edges[near].randomElement(using: &random) else { return }
            guard let far = (1..<edges.count).first(where: { gateway($0) == edge.neighbor }) else {
                return
            }
            now = now + .seconds(5)
            for index in [near, far] {
                edges[index].removeAll { $0.name == edge.name }
                learn(index)
            }
            feed(.deadline)
        }

        /// Another cost somewhere.
        mutating func change() {
            let index = Int.random(in: 1..<edges.count, using: &random)
            guard let edge = edges[index].firstIndex(where: { $0.cost != nil }) else { return }
            edges[index][edge].cost = cost(Int.random(in: 1...20, using: &random))
            now = now + .seconds(5)
            learn(index)
            feed(.deadline)
        }
    }

    /// 100 unless `hack/routing.sh scale` asks for more.
    private static let most =
        ProcessInfo.processInfo.environment["TIELINE_TEST_SITES"].flatMap { Int($0) } ?? 100

    @Test("what a network of ten links a site takes of one gateway of it")
    func oneGateway() {
        for sites in [10, 30, 100, 300, 1_000] where sites <= Self.most {
            let before = residentBytes()
            var known = Known(sites: sites, links: 10 * sites)
            let bytes = max(residentBytes() - before, 0)
            #expect(known.instance.table.gateways.count == sites - 1)
            let clock = ContinuousClock()
            let costs = (0..<101).map { _ in clock.measure { known.change() } }.sorted()
            let cuts = (0..<101).map { _ in clock.measure { known.cut() } }.sorted()
            print(
                "\(sites) sites: a changed cost \(costs[50]), the worst of a hundred \(costs[99]);",
                "a link cut \(cuts[50]), \(cuts[99]); an advertisement has \(known.advertised) bytes,",
                "\(bytes >> 20) MiB more are resident"
            )
            #expect(bytes < 64 << 20)
        }
    }

    @Test("how long a network of ten links a site takes to know that one was cut, and what is said")
    func cut() {
        for count in [10, 30] {
            var random = SeededGenerator(seed: 7)
            var network = SimulatedNetwork(seed: 7)
            for index in 0..<count { network.add(gateway(index), services: [service("s/p"): 1]) }
            for number in 0..<10 * count {
                let near = number % count
                let far = (near + .random(in: 1..<count, using: &random)) % count
                let cost = Int.random(in: 1...20, using: &random)
                network.connect(gateway(near), gateway(far), link("l\(number)"), cost: cost)
            }
            network.run(milliseconds: 30_000)
            #expect(network.complaints() == [])
            guard let link = network.links.keys.min(by: { ($0.from, $0.name) < ($1.from, $1.name) })
            else { return }
            let before = network.messageCount
            network.cut(link)
            var milliseconds = 0
            while !network.complaints().isEmpty, milliseconds < 2_000 {
                network.run(milliseconds: 1)
                milliseconds += 1
            }
            network.run(milliseconds: 2_000)
            let messages = network.messageCount - before
            print("\(count) sites: \(milliseconds) ms after a link was cut, \(messages) messages")
            // Two advertisements in at most both directions of every link, and their acknowledgments.
            #expect(messages <= 8 * network.links.count)
            #expect(milliseconds < 1_000)
        }
    }

    @Test("messages for one changed cost grow with the links, and it arrives everywhere at once")
    func messages() {
        for count in [10, 20, 40] {
            var random = SeededGenerator(seed: 7)
            var network = SimulatedNetwork(seed: 7)
            for index in 0..<count { network.add(gateway(index), services: [service("s/p"): 1]) }
            for index in 1..<count {
                let near = Int.random(in: 0..<index, using: &random)
                network.connect(gateway(index), gateway(near), link("t\(index)"), cost: 5)
            }
            for number in 0..<2 * count {
                let (near, far) = (number % count, (number * 7 + 3) % count)
                guard near != far else { continue }
                network.connect(gateway(near), gateway(far), link("l\(number)"), cost: 9)
            }
            network.run(milliseconds: 20_000)
            #expect(network.complaints() == [])
            let changed = SimulatedNetwork.Link(
                from: gateway(1),
                to: gateway(0),
                name: .link(dialer: site(1), name: link("t1"))
            )
            let before = network.messageCount
            network.changeCost(changed, to: 2)
            var milliseconds = 0
            while !network.complaints().isEmpty, milliseconds < 1_000 {
                network.run(milliseconds: 1)
                milliseconds += 1
            }
            network.run(milliseconds: 1_000)
            let messages = network.messageCount - before
            let links = network.links.count
            print("\(count) sites, \(links) links: \(messages) messages, \(milliseconds) ms")
            // An advertisement in at most both directions of every link, and its acknowledgments.
            #expect(messages <= 4 * links)
            #expect(milliseconds < 100)
        }
    }

    @Test("a link that flaps once a second for a minute takes nothing from other ways")
    func flapping() {
        var network = SimulatedNetwork(seed: 3)
        let count = 12
        for index in 0..<count { network.add(gateway(index), services: [service("s/p"): 1]) }
        for index in 0..<count {
            let next = (index + 1) % count
            network.connect(gateway(index), gateway(next), link("r\(index)"), cost: 3)
        }
        network.connect(gateway(0), gateway(6), link("flap"), cost: 1)
        network.run(milliseconds: 5_000)
        let link = SimulatedNetwork.Link(
            from: gateway(0),
            to: gateway(6),
            name: .link(dialer: site(0), name: link("flap"))
        )
        let (messages, clock) = (network.messageCount, ContinuousClock())
        var lost = 0
        let start = clock.now
        for second in 0..<60 {
            if second % 2 == 0 {
                network.cut(link)
            } else {
                network.connect(gateway(0), gateway(6), link.name.linkName, cost: 1)
            }
            for _ in 0..<20 {
                network.run(milliseconds: 50)
                for (id, instance) in network.instances {
                    let targets = instance.table.services[service("s/p")] ?? []
                    // The ring joins everybody whatever the link does.
                    lost +=
                        count - 1 - targets.count { $0.target.reach.isUsable && $0.site != id.site }
                }
            }
        }
        let perFlap = (clock.now - start) / 60
        print(
            "a flap at 12 sites: \(perFlap) of all of them, \((network.messageCount - messages) / 60) messages"
        )
        #expect(lost == 0)
        // Two advertisements over 13 links, and the exchange of two databases.
        #expect((network.messageCount - messages) / 60 <= 120)
        network.run(milliseconds: 5_000)
        #expect(network.complaints() == [])
    }
}

/// The memory of this process, in bytes.
private func residentBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
        return 0
    }
    let fields = text.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4_096 : 0
}

extension EdgeName {
    fileprivate var linkName: LinkName {
        guard case .link(_, let name) = self else { preconditionFailure("\(self) is no Link") }
        return name
    }
}
