import NetworkModel
import TestSupport
import Testing

@testable import Balancing
@testable import SiteControl

@Suite("When servers that are left out are probed")
struct ProbeDeskTests {
    /// Services with servers that go down and come back, and connections that end after a while, on a clock of their own.
    private struct Model {
        var desk = ProbeDesk()
        var services: [ServicePort: EndpointBalancer] = [:]
        var now = Instant(nanoseconds: 1_000_000_000)
        /// The connections that probe, and when each ends.
        var running: [(order: ProbeDesk.Order, end: Instant)] = []
        var down: Set<Endpoint> = []
        var most = 0
        var looks = 0

        /// How long a connection takes that is not answered.
        static let timeout: Duration = .seconds(1)

        mutating func add(_ key: ServicePort, servers: Int, of network: UInt32) {
            var balancer = EndpointBalancer()
            let listed = (0..<servers).map { number in
                EndpointBalancer.Server(
                    listed: [Endpoint(address: .v4(network << 16 | UInt32(number)), port: 80)]
                )
            }
            balancer.update(listed, at: now)
            services[key] = balancer
            look(at: key)
        }

        mutating func look(at key: ServicePort) {
            looks += 1
            guard let probes = services[key]?.takeProbes(at: now) else { return }
            let next = services[key]?.nextProbe(at: now)
            begin(desk.looked(at: key, probes, next: next, at: now))
        }

        mutating func begin(_ orders: [ProbeDesk.Order]) {
            for order in orders {
                let time = down.contains(order.server.endpoint) ? Self.timeout : order.patience
                running.append((order, now + time))
            }
            most = max(most, running.count)
        }

        mutating func end(_ index: Int) {
            let order = running.remove(at: index).order
            if down.contains(order.server.endpoint) {
                services[order.service]?.probeFailed(order.server, .unanswered, at: now)
            } else {
                services[order.service]?.probeSucceeded(order.server, at: now)
            }
            begin(desk.ended(order.service, at: now))
        }

        /// Goes on until `limit`.
        mutating func run(until limit: Instant) {
            while true {
                let ends = running.map(\.end).min() ?? limit
                let next = min(ends, desk.nextDeadline ?? limit)
                guard next < limit else { break }
                now = max(now, next)
                while let index = running.firstIndex(where: { $0.end <= now }) { end(index) }
                for key in desk.due(at: now) { look(at: key) }
            }
            now = limit
        }

        /// Servers that are up and left out.
        var missed: Int {
            services.values.reduce(0) { sum, balancer in
                sum + balancer.slots.count { !$0.isUsable && !down.contains($0.id) }
            }
        }
    }

    @Test("a thousand new servers are asked 32 at a time, each once")
    func many() throws {
        var model = Model()
        for number in 0..<100 {
            model.add(try service(number), servers: 10, of: UInt32(number))
        }
        let start = model.now
        model.run(until: start + .milliseconds(100))
        #expect(model.missed == 0 && model.most == ProbeDesk.runningLimit)
        #expect(model.desk.nextDeadline == nil && model.running.isEmpty)
    }

    @Test("a service that is gone is probed no more, and one of its name from then on is another")
    func gone() throws {
        var model = Model()
        let key = try service(1)
        model.down = [Endpoint(address: .v4(1 << 16), port: 80)]
        model.add(key, servers: 1, of: 1)
        #expect(model.running.count == 1)
        model.services[key] = nil
        model.desk.forget(key)
        model.run(until: model.now + .seconds(60))
        #expect(model.running.isEmpty && model.desk.nextDeadline == nil)
        model.down = []
        model.add(key, servers: 1, of: 1)
        model.run(until: model.now + .milliseconds(1))
        #expect(model.missed == 0)
    }

    @Test(
        "servers that come back are used again within the longest wait, at little cost",
        arguments: Seeds.some()
    )
    func random(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var model = Model()
        for number in 0..<8 { model.add(try service(number), servers: 6, of: UInt32(number)) }
        let servers = model.services.values.flatMap { $0.slots.map(\.id) }.sorted { $0 < $1 }
        for _ in 0..<60 {
            for server in servers where Int.random(in: 0..<3, using: &random) == 0 {
                if model.down.remove(server) == nil { model.down.insert(server) }
            }
            try fail(&model, &random)
            model.run(
                until: model.now + .milliseconds(Int64.random(in: 1...15_000, using: &random))
            )
            #expect(model.most <= ProbeDesk.runningLimit)
        }
        model.down = []
        let looks = model.looks
        // The longest wait of a server that has failed often, and a probe.
        model.run(until: model.now + .seconds(12))
        #expect(model.missed == 0 && model.running.isEmpty && model.desk.nextDeadline == nil)
        #expect(model.looks - looks <= 3 * servers.count, "it spins")
    }

    /// Clients come: what is down is left out from then on.
    private func fail(_ model: inout Model, _ random: inout SeededGenerator) throws {
        for key in model.services.keys.sorted() {
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                guard let pick = model.services[key]?.pick(at: model.now) else { continue }
                if model.down.contains(pick.endpoint) {
                    model.services[key]?.failed(pick, .unanswered, at: model.now)
                } else {
                    model.services[key]?.release(pick)
                }
            }
            model.look(at: key)
        }
    }

    private func service(_ number: Int) throws -> ServicePort {
        try #require(ServicePort("backend-\(number)/http"))
    }
}
