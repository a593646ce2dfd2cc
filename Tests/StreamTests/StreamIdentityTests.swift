import Balancing
import CertificateFixtures
import NetworkModel
import ProxyContract
import Streaming
import Testing
import Wire

@testable import Proxy

/// Streams that somebody has no right to open.
@Suite("Who may open a stream", .timeLimit(.minutes(2)), .serialized)
struct StreamIdentityTests {
    /// Remembers the answer to an OPEN that the test wrote.
    private final class Probe: TestOwner {
        enum Answer: Equatable, Sendable {
            case opened
            case refused(Refused.Reason, by: ProxyID)
        }

        let answer: Promise<Answer>
        init(_ answer: Promise<Answer>) { self.answer = answer }

        override func receive(_ frame: LifeFrame, on end: StreamEnd) {
            switch frame {
            case .opened:
                answer.fulfill(.opened)
                end.send(.cancel)
            case .refused(let refused):
                answer.fulfill(.refused(refused.reason, by: refused.by))
            case .resumed, .cancel, .reset: return
            }
            end.detach()
            kept = nil
        }

        /// Until the answer: an end does not keep its owner.
        var kept: Probe?
    }

    private let near: TestProxy
    private let middle: TestProxy
    private let far: TestProxy
    private let server = TestServer.named("far")

    init() throws {
        near = try TestProxy(FixtureSite("near"))
        middle = try TestProxy(FixtureSite("middle"))
        far = try TestProxy(FixtureSite("far"))
        try near.link(to: middle)
        try middle.link(to: far)
        try near.knows([middle, far])
        try middle.knows([near, far])
        try far.knows([near, middle])
        far.servers([server.port])
    }

    private func stop() { for proxy in [near, middle, far] { proxy.stop() } }

    private func open(
        number: UInt64,
        ingress: ProxyID? = nil,
        route: [ProxyID]? = nil,
        target: SiteID? = nil
    ) -> Open {
        Open(
            name: StreamName(ingress: ingress ?? near.id, number: number),
            service: TestProxy.backend,
            route: route ?? [middle.id, far.id],
            target: target ?? far.site.id,
            client: Endpoint(address: loopback, port: 1),
            window: 65_536
        )
    }

    /// Sends OPEN from `near`, signed as told, and waits for the answer.
    private func ask(
        _ open: Open,
        sign: @escaping @Sendable (Open, KeyRing, ProxyID) -> Open.Signature? = {
            $1.seal($0, signer: $2)
        }
    ) throws -> Probe.Answer? {
        let answer = Promise<Probe.Answer>()
        let middle = middle.id
        try near.withEngine { engine in
            var open = open
            open.signature = sign(open, engine.view.keys, engine.view.proxy)
            let probe = Probe(answer)
            let carrier = try #require(engine.carrier(to: middle, mayBridge: false))
            probe.kept = probe
            try #require(carrier.open(probe.end))
            let frame = open
            probe.end.send(.open) { frame.encode(into: &$0) }
        }
        return answer.value
    }

    @Test("a right OPEN is taken once: its number again is a replay")
    func replay() throws {
        defer { stop() }
        #expect(try ask(open(number: 5)) == .opened)
        #expect(try ask(open(number: 5)) == .refused(.replay, by: far.id))
        #expect(try ask(open(number: 4)) == .opened)
        #expect(try ask(open(number: 200_000)) == .opened)
        #expect(try ask(open(number: 6)) == .refused(.replay, by: far.id))
    }

    @Test("an OPEN that was changed on the way, or is not signed, is refused by the egress")
    func changed() throws {
        defer { stop() }
        let wrong = try ask(open(number: 1)) { open, keys, signer in
            var other = open
            other.client = Endpoint(address: loopback, port: 2)
            return keys.seal(other, signer: signer)
        }
        #expect(wrong == .refused(.unauthenticated, by: far.id))
        let unsigned = try ask(open(number: 2)) { _, _, _ in nil }
        #expect(unsigned == .refused(.unauthenticated, by: middle.id))
    }

    @Test("nobody speaks for another: not for another proxy, nor for another site's signature")
    func impersonation() throws {
        defer { stop() }
        let stranger = ProxyID(site: far.site.id, instance: 99)
        #expect(
            try ask(open(number: 1, ingress: stranger)) == .refused(.noRoute, by: middle.id)
        )
        let (near, middle) = (near.id, middle.id)
        let foreign = try ask(open(number: 2)) { open, keys, _ in
            guard let mac = keys.seal(open, signer: middle)?.mac else { return nil }
            return Open.Signature(signer: middle, mac: mac)
        }
        #expect(foreign == .refused(.unauthenticated, by: far.id))
        let unknown = ProxyID(site: near.site, instance: 98)
        let unheard = try ask(open(number: 3)) { open, keys, _ in
            keys.seal(open, signer: unknown)
        }
        #expect(unheard == .refused(.unknownOrigin, by: far.id))
    }

    @Test(
        "a wrong target, a route that does not lead on, an unknown service: refused with the reason"
    )
    func wrongWay() throws {
        defer { stop() }
        #expect(
            try ask(open(number: 1, target: near.site.id)) == .refused(.wrongSite, by: far.id)
        )
        let nowhere = ProxyID(site: far.site.id, instance: 77)
        try near.knows([middle, far])
        #expect(
            try ask(open(number: 2, route: [middle.id, nowhere])) { _, _, signer in
                Open.Signature(signer: signer, mac: Array(repeating: 0, count: 16))
            } == .refused(.noRoute, by: middle.id)
        )
        #expect(
            try ask(open(number: 3, route: [far.id])) == .refused(.noRoute, by: middle.id)
        )
        var unknown = open(number: 4)
        unknown.service = try #require(ServicePort("other/http"))
        #expect(try ask(unknown) == .refused(.noService, by: far.id))
        #expect(eventually { (try? far.isEmpty) == true && (try? middle.isEmpty) == true })
    }

    @Test("clients of a site that is not allowed are refused, and reset when they were")
    func permission() throws {
        defer { stop() }
        try near.targets([.init(site: far.site.id, cost: 2, route: [middle.id, far.id])])
        let port = try near.listen()
        #expect(far.shared.setAllowedSites([near.site.id]), "all were allowed")
        let client = try #require(TestSocket.connected(to: port))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        #expect(far.shared.setAllowedSites([middle.site.id, far.site.id]))
        try far.withEngine { $0.endForbiddenStreams() }
        #expect(client.readPattern().end == .reset)
        #expect(try ask(open(number: 1)) == .refused(.notAllowed, by: far.id))
        let late = TestSocket.connected(to: port)
        #expect(late?.readPattern().end == .reset)
        let state = near.shared.states.first { $0.target.site == far.site.id }
        let isTold =
            if case .ejected(.notAllowed, until: _) = state?.condition { true } else { false }
        #expect(isTold, "\(String(describing: state))")
        #expect(eventually { (try? far.isEmpty) == true && (try? near.isEmpty) == true })
    }

    @Test("a site that may not dial any more loses its streams, also those over another site")
    func revocation() throws {
        defer { stop() }
        try near.targets([.init(site: far.site.id, cost: 2, route: [middle.id, far.id])])
        let port = try near.listen()
        let client = try #require(TestSocket.connected(to: port))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        try far.withEngine { [middle] in $0.endStreams(of: [middle.site.id]) }
        let other = try #require(TestSocket.connected(to: port))
        #expect(other.read(limit: 4).bytes == Array("far\n".utf8))
        try far.withEngine { [near] in $0.endStreams(of: [near.site.id]) }
        #expect(client.readPattern().end == .reset)
        #expect(other.readPattern().end == .reset)
        #expect(eventually { (try? far.isEmpty) == true && (try? near.isEmpty) == true })
    }

    @Test("a sidecar may use its own name only")
    func sidecarName() throws {
        defer { stop() }
        let site = try FixtureSite("home")
        let sidecar = try TestProxy(site, instance: 7, isSidecar: true)
        let gateway = try TestProxy(site, instance: 1)
        defer { for proxy in [sidecar, gateway] { proxy.stop() } }
        try sidecar.link(to: gateway)
        try gateway.link(to: far)
        try gateway.knows([far])
        try far.knows([near, middle, gateway])
        let (home, far) = (gateway.id, far.id)
        let target = self.far.site.id
        func ask(_ name: ProxyID) throws -> Probe.Answer? {
            let answer = Promise<Probe.Answer>()
            try sidecar.withEngine { engine in
                let probe = Probe(answer)
                let carrier = try #require(engine.carrier(to: home, mayBridge: false))
                probe.kept = probe
                try #require(carrier.open(probe.end))
                let open = Open(
                    name: StreamName(ingress: name, number: 1),
                    service: TestProxy.backend,
                    route: [home, far],
                    target: target,
                    client: Endpoint(address: loopback, port: 1),
                    window: 65_536
                )
                probe.end.send(.open) { open.encode(into: &$0) }
            }
            return answer.value
        }
        #expect(try ask(ProxyID(site: site.id, instance: 8)) == .refused(.noRoute, by: home))
        #expect(try ask(near.id) == .refused(.noRoute, by: home))
        #expect(try ask(sidecar.id) == .opened)
    }
}
