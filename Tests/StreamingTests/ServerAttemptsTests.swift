import Balancing
import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

@Suite("Which servers of this site a connection tries")
struct ServerAttemptsTests {
    private let start = Instant(nanoseconds: 1_000_000_000)

    private func endpoint(_ number: Int) -> Endpoint {
        Endpoint(address: .v4(UInt32(number)), port: 80)
    }

    private func servers(_ count: Int) -> EndpointBalancer {
        var servers = EndpointBalancer()
        servers.update(
            (0..<count).map {
                EndpointBalancer.Server(endpoint: endpoint($0), isReady: true, isServing: true)
            },
            at: start
        )
        return servers
    }

    /// Tells what became of each attempt until there is no more; `attempt` answers with how long it took.
    private func run(
        _ attempts: inout ServerAttempts,
        _ servers: inout EndpointBalancer,
        attempt: (_ server: Endpoint, _ limit: Duration) -> (ServerAttempts.Failure, Duration)
    ) -> (tried: [Endpoint], reason: Refused.Reason, took: Duration) {
        var (tried, now) = ([Endpoint](), start)
        while true {
            switch attempts.next(of: &servers, at: now) {
            case .giveUp(let reason): return (tried, reason, now - start)
            case .connect(let server, within: let limit):
                tried.append(server.endpoint)
                let (failure, time) = attempt(server.endpoint, limit)
                now = now + time
                if let fault = attempts.failed(failure) {
                    servers.failed(server, fault, at: now)
                } else {
                    servers.release(server)
                }
            }
        }
    }

    @Test(
        "a server that does not answer leaves half of the time for the others, the last one takes all of it"
    )
    func halves() {
        var (attempts, servers) = (
            ServerAttempts(excluding: [], within: .seconds(4), at: start), servers(3)
        )
        var limits: [Duration] = []
        let end = run(&attempts, &servers) { _, limit in
            limits.append(limit)
            return (.unanswered, limits.count == 1 ? limit : .seconds(1))
        }
        #expect(limits == [.seconds(2), .seconds(2), .seconds(1)])
        #expect(end.reason == .connectTimeout && end.tried == (0..<3).map(endpoint))
        var (one, alone) = (
            ServerAttempts(excluding: [], within: .seconds(4), at: start), self.servers(1)
        )
        #expect(run(&one, &alone) { (.unanswered, $1) }.took == .seconds(4))
    }

    @Test("servers that were tried before are not tried again, and count among the eight")
    func excluded() {
        let before = (0..<3).map(endpoint)
        var (attempts, servers) = (
            ServerAttempts(excluding: before, within: .seconds(4), at: start), servers(12)
        )
        let end = run(&attempts, &servers) { _, _ in (.refused, .milliseconds(1)) }
        #expect(end.tried == (3..<8).map(endpoint) && end.reason == .connectRefused)
        var (none, few) = (
            ServerAttempts(excluding: before, within: .seconds(4), at: start), self.servers(3)
        )
        #expect(none.next(of: &few, at: start) == .giveUp(.connectRefused))
    }

    @Test(
        "without a server the reason says so, and what this host is short of is held against nobody"
    )
    func reasons() {
        var (attempts, nobody) = (
            ServerAttempts(excluding: [], within: .seconds(4), at: start), servers(0)
        )
        #expect(attempts.next(of: &nobody, at: start) == .giveUp(.noEndpoint))
        var (short, servers) = (
            ServerAttempts(excluding: [], within: .seconds(4), at: start), servers(2)
        )
        let end = run(&short, &servers) { _, _ in (.shortage, .zero) }
        #expect(end.tried.count == 2 && end.reason == .overloaded && servers.usableCount == 2)
    }

    @Test(
        "whatever fails: within the time, each server once, eight at the most, and nothing stays counted",
        arguments: Seeds.some(8)
    )
    func random(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let count = Int.random(in: 0...12, using: &random)
            let before = (0..<Int.random(in: 0...2, using: &random)).map(endpoint)
            let timeout = Duration.milliseconds(Int64.random(in: 1...4_000, using: &random))
            var (attempts, servers) = (
                ServerAttempts(excluding: before, within: timeout, at: start), servers(count)
            )
            var hasTimedOut = false
            let end = run(&attempts, &servers) { _, limit in
                guard Bool.random(using: &random) else {
                    hasTimedOut = true
                    return (.unanswered, limit)
                }
                let time = Duration.milliseconds(Int64.random(in: 0...50, using: &random))
                return (.refused, min(limit, time))
            }
            #expect(end.took <= timeout)
            #expect(Set(end.tried).count == end.tried.count)
            #expect(end.tried.count + before.count <= max(ServerAttempts.limit, before.count))
            #expect(Set(end.tried).isDisjoint(with: before))
            #expect(servers.openCounts.isEmpty)
            let isKnown = end.tried.isEmpty && before.isEmpty
            let reason: Refused.Reason =
                isKnown ? .noEndpoint : hasTimedOut ? .connectTimeout : .connectRefused
            #expect(end.reason == reason)
        }
    }
}
