import Foundation
import NetworkModel
import TestSupport
import Testing

@testable import Routing

/// A random network of ten links a site, in which every site offers five services of its own and one that others offer as well.
struct GrowingNetwork {
    /// What a change took, of all gateways together.
    struct Spent {
        /// Until the last table changed, on the virtual clock.
        let milliseconds: Int
        let cpu: Duration
        let messages: Int
        let bytes: Int
    }

    private(set) var network = SimulatedNetwork(seed: 7)
    private var random = SeededGenerator(seed: 7)
    let gateways: [ProxyID]

    init(sites: Int) {
        gateways = (0..<sites).map { gateway($0) }
        network.weather.notice = 0...0
        for index in 0..<sites {
            // One uses everything, the others some of it.
            let used = (0..<20).map { _ in
                let site = Int.random(in: 0..<sites, using: &random)
                return Self.offered(by: site, of: sites)[.random(in: 0..<6, using: &random)]
            }
            network.add(
                gateways[index],
                services: Dictionary(
                    uniqueKeysWithValues: Self.offered(by: index, of: sites).map { ($0, 1) }
                ),
                interest: index == 0 ? .all : ServiceInterest(services: Set(used))
            )
        }
        for number in 0..<10 * sites {
            let near = number % sites
            let far = (near + .random(in: 1..<sites, using: &random)) % sites
            let cost = Int.random(in: 1...20, using: &random)
            network.connect(gateways[near], gateways[far], link("l\(number)"), cost: cost)
        }
    }

    /// The last one is offered by five sites.
    static func offered(by site: Int, of sites: Int) -> [ServicePort] {
        let shared = site % max(sites / 5, 1)
        return (0..<5).map { service("service-\($0).site-\(site).example/http") }
            + [service("service-\(shared).shared.example/http")]
    }

    /// From here on everything is simulated.
    mutating func settle() {
        network.introduce()
        network.run(milliseconds: 10_000)
    }

    /// One that somebody's way leads over, neither its first nor its last one if it has others.
    mutating func usedLink() -> SimulatedNetwork.Link? {
        while let id = gateways.randomElement(using: &random) {
            let far = gateways.randomElement(using: &random).flatMap {
                network[id]?.table.gateways[$0]?.hops
            }
            guard let far, far.count > 1 else { continue }
            let pair = SimulatedNetwork.Pair(far[(far.count - 2) / 2], far[(far.count - 2) / 2 + 1])
            return network.sorted(network.links.keys.filter { $0.pair == pair })
                .min { network.links[$0] ?? 0 < network.links[$1] ?? 0 }
        }
        return nil
    }

    mutating func spend(
        milliseconds: Int,
        _ change: (inout SimulatedNetwork) -> Void = { _ in }
    ) -> Spent {
        let (messages, bytes) = (network.messageCount, network.byteCount)
        let (start, cpu) = (network.now, cpuTime())
        change(&network)
        network.run(milliseconds: milliseconds)
        let last = max(network.lastChange, start) - start
        return Spent(
            milliseconds: Int(last.wholeNanoseconds / 1_000_000),
            cpu: cpuTime() - cpu,
            messages: network.messageCount - messages,
            bytes: network.byteCount - bytes
        )
    }

    /// What is wrong with the services of the gateway that uses all of them.
    var complaints: [String] {
        let truth = network.trueCosts()
        var expected: [ServicePort: Set<Int>] = [:]
        for (index, id) in gateways.enumerated().dropFirst() {
            for service in Self.offered(by: index, of: gateways.count) {
                if let cost = truth.cost(gateways[0], id) {
                    expected[service, default: []].insert(cost)
                }
            }
        }
        let table = network[gateways[0]]?.table.services ?? [:]
        let believed = table.mapValues { targets in
            Set(targets.compactMap { $0.target.reach.cost.map { Int($0.value) } })
        }
        return believed == expected ? [] : ["services of \(gateways[0])"]
    }
}

@Suite("Growth of whole networks")
struct NetworkGrowthTests {
    @Test("what a network of ten links a site takes of all gateways together")
    func wholeNetwork() {
        for sites in [10, 30, 100, 300, 1_000] where sites <= GrowthTests.most(30) {
            let before = residentBytes()
            var growing = GrowingNetwork(sites: sites)
            growing.settle()
            let bytes = max(residentBytes() - before, 0)
            let costs = (0..<5).compactMap { _ in
                growing.usedLink().map { link in
                    growing.spend(milliseconds: 3_000) {
                        $0.changeCost(link, to: ($0.links[link] ?? 0) + 10)
                    }
                }
            }
            let cuts = (0..<5).compactMap { _ in
                growing.usedLink().map { link in
                    growing.spend(milliseconds: 3_000) { $0.cut(link) }
                }
            }
            // The neighbors compare their databases once a minute.
            let rest = growing.spend(milliseconds: 60_000)
            #expect(growing.network.complaints() == [])
            #expect(growing.network.differences() == [])
            #expect(growing.complaints == [])
            print("\(sites) sites: a changed cost \(describe(costs, sites))")
            print("\(sites) sites: a link cut \(describe(cuts, sites))")
            print("\(sites) sites: a minute at rest \(describe(rest, sites))")
            print("\(sites) sites: \((bytes / sites) >> 10) KiB a gateway, advertisements shared")
            for spent in costs + cuts {
                // Two advertisements in at most both directions of every link, and their acknowledgments.
                #expect(spent.messages <= 8 * growing.network.links.count)
                #expect(spent.milliseconds < 1_000)
            }
        }
    }

    private func describe(_ all: [GrowingNetwork.Spent], _ sites: Int) -> String {
        let middle = all.sorted { $0.milliseconds < $1.milliseconds }[all.count / 2]
        return describe(middle, sites) + ", the longest \(all.map(\.milliseconds).max() ?? 0) ms"
    }

    private func describe(_ spent: GrowingNetwork.Spent, _ sites: Int) -> String {
        "\(spent.milliseconds) ms, CPU \(spent.cpu) (\(spent.cpu / sites) a gateway),"
            + " \(spent.messages) messages, \(spent.bytes >> 10) KiB"
    }
}

/// The processor time of this process.
private func cpuTime() -> Duration { .microseconds(Int64(clock())) }
