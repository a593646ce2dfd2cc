import Balancing
import NetworkModel
import TestSupport
import Testing

@Suite("Endpoints")
struct EndpointBalancerTests {
    private func server(
        _ number: UInt32,
        ready: Bool = true,
        serving: Bool = true
    ) -> EndpointBalancer.Server {
        EndpointBalancer.Server(
            endpoint: Endpoint(address: .v4(number), port: 80),
            isReady: ready,
            isServing: serving
        )
    }

    @Test("the fewest open connections, then the one picked longest ago")
    func order() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2), server(3)], at: .seconds(0))
        let picks = (0..<6).compactMap { _ in balancer.pick(at: .seconds(1)) }
        let first = picks.prefix(3).map(\.endpoint.address)
        #expect(first == [.v4(1), .v4(2), .v4(3)])
        #expect(picks.suffix(3).map(\.endpoint.address) == first)
        balancer.release(picks[1])
        #expect(balancer.pick(at: .seconds(1))?.endpoint == picks[1].endpoint)
    }

    @Test("servers that terminate are used when none is ready, and none when none serves")
    func terminating() {
        var balancer = EndpointBalancer()
        balancer.update([server(1, ready: false), server(2)], at: .seconds(0))
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        balancer.update(
            [server(1, ready: false), server(2, ready: false, serving: false)],
            at: .seconds(0)
        )
        #expect(balancer.usableCount == 0 && balancer.target(at: site(1)).reach.isLastResort)
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(1))
        balancer.update([server(1, ready: false, serving: false)], at: .seconds(0))
        #expect(balancer.pick(at: .seconds(1)) == nil)
    }

    @Test(
        "B2: a server that failed counts nowhere until a probe succeeds, and clients do without it"
    )
    func failure() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2)], at: .seconds(0))
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, at: .seconds(1))
        #expect(balancer.usableCount == 1)
        #expect(balancer.target(at: site(1)).reach.endpoints == 1)
        for _ in 0..<50 { #expect(balancer.pick(at: .seconds(20))?.endpoint.address == .v4(2)) }
        let probe = try unwrap(balancer.takeProbes(at: .seconds(20)).first)
        #expect(probe.server.endpoint == first.endpoint && probe.fault == .refused)
        #expect(balancer.takeProbes(at: .seconds(20)).isEmpty, "one at a time")
        balancer.probeSucceeded(probe.server, at: .seconds(20))
        #expect(balancer.usableCount == 2)
        #expect(balancer.pick(at: .seconds(20))?.endpoint == first.endpoint)
    }

    @Test("the only server is tried by clients although it failed, and is probed every second")
    func onlyOne() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1)], at: .seconds(0))
        var now = Instant.seconds(1)
        for _ in 0..<5 {
            let pick = try unwrap(balancer.pick(at: now))
            balancer.failed(pick, .unanswered, at: now)
            #expect(balancer.pick(excluding: [pick.endpoint], at: now) == nil)
            let target = balancer.target(at: site(1))
            #expect(
                target.reach
                    == .lastResort(cost: .zero, endpoints: 1, doubt: .connectTimeout)
            )
            #expect(target.reach.endpoints == 0)
            let next = try unwrap(balancer.nextProbe(at: now))
            #expect(next - now <= .seconds(1))
            now = next
            let probe = try unwrap(balancer.takeProbes(at: now).first)
            balancer.probeFailed(probe.server, .unanswered, at: now)
        }
        let pick = try unwrap(balancer.pick(at: now))
        balancer.opened(pick, at: now)
        #expect(balancer.usableCount == 1, "a client's success counts as well")
    }

    @Test("P8: a server that takes connections and ends them is left out for longer each time")
    func relapse() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2)], at: .seconds(0))
        // Holds more than the other will in this test.
        for _ in 0..<100 { _ = balancer.pick(excluding: [server(1).id], at: .seconds(1)) }
        var now = Instant.seconds(1)
        var waits: [Duration] = []
        for _ in 0..<6 {
            let pick = try unwrap(balancer.pick(at: now))
            #expect(pick.endpoint.address == .v4(1))
            balancer.opened(pick, at: now)
            balancer.failed(pick, .closedAtOnce, at: now)
            let next = try unwrap(balancer.nextProbe(at: now))
            waits.append(next - now)
            now = next
            let probe = try unwrap(balancer.takeProbes(at: now).first)
            balancer.probeSucceeded(probe.server, at: now)
        }
        #expect(
            waits == [
                .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8),
                .seconds(10),
            ]
        )
    }

    @Test("P6: two families of one name are one server, and the one that answers is used")
    func families() throws {
        let four = Endpoint(address: .v4(1), port: 80)
        let six = Endpoint(address: .v6(1, 1), port: 80)
        var balancer = EndpointBalancer()
        balancer.update([.init(listed: [six, four]), server(2)], at: .seconds(0))
        #expect(balancer.usableCount == 1, "nobody has answered at the listed one")
        #expect(balancer.pick(at: .seconds(0))?.endpoint.address == .v4(2))
        let first = try unwrap(balancer.takeProbes(at: .seconds(0)).first)
        #expect(first.server.endpoint == six)
        balancer.probeFailed(first.server, .refused, at: .seconds(0))
        let second = try unwrap(balancer.takeProbes(at: .seconds(0)).first)
        #expect(second.server.endpoint == four, "its other address follows at once")
        balancer.probeSucceeded(second.server, at: .seconds(0))
        #expect(balancer.usableCount == 2)
        let pick = try unwrap(balancer.pick(at: .seconds(1)))
        #expect(pick.endpoint == four)
        balancer.opened(pick, at: .seconds(1))
        // The resolver's order changed: it is the same server, by the address that works.
        balancer.update([.init(listed: [four, six]), server(2)], at: .seconds(2))
        #expect(balancer.openCounts.values.reduce(0, +) == 2)
        // The address stops working in the midst of a connection: the other one is tried for it.
        let lost = try unwrap(balancer.pick(excluding: [server(2).id], at: .seconds(3)))
        balancer.failed(lost, at: .seconds(3))
        #expect(balancer.pick(excluding: [server(2).id, four], at: .seconds(3))?.endpoint == six)
        #expect(balancer.usableCount == 2)
    }

    @Test("P2: a server to which connections come back is given to nobody, not even alone")
    func leadsToItself() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1)], at: .seconds(0))
        let pick = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.condemn(pick.server, at: .seconds(1))
        // The loop's own connect succeeds all the same.
        balancer.opened(pick, at: .seconds(1))
        balancer.failed(pick, at: .seconds(1))
        #expect(balancer.pick(at: .seconds(60)) == nil)
        #expect(balancer.target(at: site(1)).reach == .absent(.noEndpoints))
        #expect(balancer.ownServers == [pick.server])
        let probe = try unwrap(balancer.takeProbes(at: .seconds(20)).first)
        balancer.probeFailed(probe.server, .refused, at: .seconds(20))
        #expect(balancer.ownServers == [pick.server], "that nobody listens there refutes nothing")
        let later = try unwrap(balancer.takeProbes(at: .seconds(60)).first)
        balancer.probeSucceeded(later.server, at: .seconds(60))
        #expect(balancer.usableCount == 1)
    }

    @Test("P6: whatever happens, what counts is what takes connections", arguments: Seeds.some(12))
    func truth(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var balancer = EndpointBalancer()
        let all = (1...5).map { server($0) } + [.init(listed: [server(6).id])]
        balancer.update(all, at: .seconds(0))
        var alive = Set(all.map(\.id))
        var open: [ServerPick] = []
        var now = Instant.seconds(1)
        for _ in 0..<3_000 {
            now = now + .milliseconds(Int.random(in: 0...400, using: &random))
            for probe in balancer.takeProbes(at: now) {
                if alive.contains(probe.server.endpoint) {
                    balancer.probeSucceeded(probe.server, at: now)
                } else {
                    balancer.probeFailed(probe.server, .refused, at: now)
                }
            }
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                alive.formSymmetricDifference([try unwrap(all.randomElement(using: &random)).id])
            case 1...5:
                var tried: [Endpoint] = []
                while let pick = balancer.pick(excluding: tried, at: now) {
                    guard alive.contains(pick.endpoint) else {
                        balancer.failed(pick, at: now)
                        tried.append(pick.endpoint)
                        continue
                    }
                    balancer.opened(pick, at: now)
                    open.append(pick)
                    break
                }
            default:
                guard !open.isEmpty else { break }
                balancer.release(open.remove(at: Int.random(in: open.indices, using: &random)))
            }
            #expect(balancer.openCounts.values.reduce(0, +) == open.count)
        }
        // Quiet: clients meet every dead server once, and probes every living one.
        for _ in 0..<40 {
            now = now + .seconds(1)
            for probe in balancer.takeProbes(at: now) {
                if alive.contains(probe.server.endpoint) {
                    balancer.probeSucceeded(probe.server, at: now)
                } else {
                    balancer.probeFailed(probe.server, .refused, at: now)
                }
            }
            var tried: [Endpoint] = []
            while let pick = balancer.pick(excluding: tried, at: now) {
                tried.append(pick.endpoint)
                if alive.contains(pick.endpoint) {
                    balancer.opened(pick, at: now)
                    balancer.release(pick)
                } else {
                    balancer.failed(pick, at: now)
                }
            }
        }
        #expect(Int(balancer.usableCount) == alive.count)
        let target = balancer.target(at: site(1))
        #expect(Int(target.reach.endpoints) == alive.count)
        #expect(alive.isEmpty == target.reach.isLastResort)
    }

    @Test("connections to a removed server stay counted until they are released")
    func removed() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1)], at: .seconds(0))
        let pick = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.update([server(2)], at: .seconds(0))
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        #expect(balancer.openCounts.count == 2)
        balancer.release(pick)
        #expect(balancer.openCounts.count == 1)
    }
}
