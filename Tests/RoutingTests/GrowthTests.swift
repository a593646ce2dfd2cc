import Foundation
import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Routing

/// What routing takes as the network grows: the tables of docs/scale.md.
@Suite("Growth")
struct GrowthTests {
    /// A random connected network of sites with a gateway each, as one of them knows it, which uses all of their services.
    private struct Known {
        private struct Joint {
            let dialer: Int
            let acceptor: Int
            let name: EdgeName
            var cost: LinkCost
        }

        var instance = RoutingInstance(origin: gateway(0))
        /// The bytes of the last advertisement.
        private(set) var advertised = 0
        private let gateways: [ProxyID]
        private var joints: [Joint] = []
        /// By site.
        private var jointsOf: [Set<Int>]
        private var random = SeededGenerator(seed: 42)
        private var now = Instant.milliseconds(1_000)
        private var sequence: UInt64 = 1

        init(sites: Int, links count: Int) {
            gateways = (0..<sites).map { gateway($0) }
            jointsOf = Array(repeating: [], count: sites)
            for far in 1..<sites { join(far, Int.random(in: 0..<far, using: &random)) }
            while joints.count < count {
                let near = Int.random(in: 1..<sites, using: &random)
                let far = Int.random(in: 1..<sites, using: &random)
                if near != far { join(near, far) }
            }
            feed(.interest(.all))
            for (neighbor, edges) in Dictionary(grouping: edges(of: 0), by: \.neighbor) {
                feed(.adjacency(neighbor: neighbor, edges: edges.map(\.name)))
            }
            for index in 1..<sites {
                now = now + .milliseconds(100)
                take(advertisement(of: index))
            }
            now = now + .seconds(5)
            feed(.deadline)
        }

        private mutating func join(_ dialer: Int, _ acceptor: Int) {
            let name = EdgeName.link(
                dialer: gateways[dialer].site,
                name: link("l\(joints.count)")
            )
            for index in [dialer, acceptor] { jointsOf[index].insert(joints.count) }
            let cost = cost(Int.random(in: 1...20, using: &random))
            joints.append(Joint(dialer: dialer, acceptor: acceptor, name: name, cost: cost))
        }

        private func edges(of index: Int) -> [LSAEdge] {
            jointsOf[index].map { number in
                let joint = joints[number]
                return joint.dialer == index
                    ? LSAEdge(
                        neighbor: gateways[joint.acceptor],
                        name: joint.name,
                        cost: joint.cost
                    ) : LSAEdge(neighbor: gateways[joint.dialer], name: joint.name, cost: nil)
            }
            .sorted()
        }

        /// What a gateway says now, as it arrives.
        private mutating func advertisement(of index: Int) -> [UInt8] {
            sequence += 1
            let offered = GrowingNetwork.offered(by: index, of: gateways.count).sorted()
            let lsa = LSA(
                origin: gateways[index],
                sequence: sequence,
                issued: wall(now),
                displayName: "site-\(index)",
                agreementKey: [UInt8](repeating: 1, count: 32),
                certificateChain: [
                    [UInt8](repeating: 2, count: 500), [UInt8](repeating: 3, count: 450),
                ],
                edges: edges(of: index),
                services: offered.map { LSAService(service: $0, endpoints: 1) }
            )
            let bytes = LSACodec.seal(
                body: LSACodec.encodeBody(lsa),
                signature: [UInt8](repeating: 4, count: 72)
            )
            advertised = bytes.count
            return bytes
        }

        private mutating func take(_ bytes: [UInt8]) {
            guard let decoded = try? unsafe LSACodec.decode(bytes.span.bytes) else {
                preconditionFailure("an advertisement cannot be read")
            }
            let neighbor = instance.ownEdges[0].neighbor
            feed(.received(SignedLSA(lsa: decoded.lsa, bytes: bytes), from: neighbor))
        }

        private mutating func feed(_ input: RoutingInput) { _ = instance.handle(input, at: now) }

        /// How long it takes until what some gateways say now is read, and all ways are known.
        private mutating func hear(_ indices: [Int]) -> Duration {
            now = now + .seconds(5)
            let said = indices.map { advertisement(of: $0) }
            return ContinuousClock().measure {
                for bytes in said { take(bytes) }
                now = now + .seconds(1)
                feed(.deadline)
            }
        }

        /// A link that is there no more, by the words of both its ends; it comes back after that.
        mutating func cut() -> Duration {
            let number = anyone()
            let ends = [joints[number].dialer, joints[number].acceptor]
            for end in ends { jointsOf[end].remove(number) }
            let duration = hear(ends)
            for end in ends { jointsOf[end].insert(number) }
            _ = hear(ends)
            return duration
        }

        /// Another cost somewhere.
        mutating func change() -> Duration {
            let number = anyone()
            joints[number].cost = cost(Int.random(in: 1...20, using: &random))
            return hear([joints[number].dialer])
        }

        /// A link that is there and not this gateway's.
        private mutating func anyone() -> Int {
            while true {
                let index = Int.random(in: 1..<gateways.count, using: &random)
                let number = jointsOf[index].sorted().randomElement(using: &random)
                if let number, !jointsOf[0].contains(number) { return number }
            }
        }
    }

    /// `few` unless `hack/routing.sh scale` asks for more.
    static func most(_ few: Int) -> Int {
        ProcessInfo.processInfo.environment["TIELINE_TEST_SITES"].flatMap { Int($0) } ?? few
    }

    @Test("what a network of ten links a site takes of one gateway of it")
    func oneGateway() {
        for sites in [10, 30, 100, 300, 1_000] where sites <= Self.most(100) {
            let before = residentBytes()
            var known = Known(sites: sites, links: 10 * sites)
            let bytes = max(residentBytes() - before, 0)
            #expect(known.instance.table.gateways.count == sites - 1)
            let costs = (0..<101).map { _ in known.change() }.sorted()
            let cuts = (0..<101).map { _ in known.cut() }.sorted()
            print(
                "\(sites) sites: a changed cost \(costs[50]), the worst of a hundred \(costs[99]);",
                "a link cut \(cuts[50]), \(cuts[99]); an advertisement has \(known.advertised) bytes,",
                "\(known.instance.table.services.count) services,",
                "\(bytes >> 20) MiB more are resident"
            )
            #expect(bytes < 64 << 20)
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
func residentBytes() -> Int {
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
