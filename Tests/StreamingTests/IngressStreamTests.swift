import Balancing
import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

/// What a client's connection makes of what happens, action by action.
@Suite("A client's connection")
struct IngressStreamTests {
    private typealias Action = IngressStream.Action

    private let begin = Instant(nanoseconds: 1_000_000_000)
    private let timeouts = ServiceTimeouts(
        connect: .seconds(3),
        idle: .seconds(60),
        halfClosed: .seconds(20)
    )
    private let near = Pick(site: site(1), number: 1, turn: 1)
    private let far = Pick(site: site(2), number: 2, turn: 1)
    private let route = [ProxyID(site: site(2), instance: 1)]

    private func makeStream() -> IngressStream {
        let flow = StreamFlow(BufferPool(), window: 65_536, hasSocket: true, at: begin)
        return IngressStream(flow, timeouts: timeouts, at: begin)
    }

    private func server(_ number: Int = 1) -> ServerPick {
        var balancer = EndpointBalancer()
        let endpoints = (1...2).map { Endpoint(address: .v4(0x0A00_0001), port: UInt16($0)) }
        balancer.update(
            endpoints.map { .init(endpoint: $0, isReady: true, isServing: true) },
            at: begin
        )
        let others = endpoints.enumerated().filter { $0.offset + 1 != number }.map(\.element)
        guard let pick = balancer.pick(excluding: others, at: begin) else {
            preconditionFailure("no server")
        }
        return pick
    }

    private func way() -> WayPick {
        var routes = RouteEjections()
        let way = routes.pick(Ways(routes: [route]), turn: 0, excluding: [], at: begin)
        guard let way else { preconditionFailure("no way") }
        return way
    }

    @Test(
        "a server of this site that resets at once is replaced by another one, then by another site"
    )
    func localServers() {
        var stream = makeStream()
        #expect(stream.handle(.start, at: begin) == [.pick(excluding: [])])
        #expect(
            stream.handle(.picked(near, isLocal: true), at: begin) == [.connect(excluding: [])]
        )
        let (first, second) = (server(1), server(2))
        #expect(
            stream.handle(.connected(first), at: begin) == [.opened(near), .count(.opened)]
        )
        let lost = RelayEnding.server(isUntouched: true, isReclaimed: true)
        #expect(
            stream.handle(.relayEnded(lost), at: begin + .seconds(1)) == [
                .serverFailed(first, .closedAtOnce), .connect(excluding: [first.endpoint]),
            ]
        )
        #expect(stream.handle(.connected(second), at: begin + .seconds(1)) == [.opened(near)])
        #expect(
            stream.handle(.relayEnded(lost), at: begin + .seconds(2)) == [
                .serverFailed(second, .closedAtOnce),
                .connect(excluding: [first.endpoint, second.endpoint]),
            ]
        )
        #expect(
            stream.handle(.notConnected(.connectRefused), at: begin + .seconds(2)) == [
                .failed(near, .connectRefused), .pick(excluding: [near.site]),
            ]
        )
        // Nobody is left, and it had been open: that is an interruption.
        #expect(
            stream.handle(.picked(nil, isLocal: false), at: begin + .seconds(2)) == [
                .close(inOrder: false), .count(.interrupted), .count(.closed),
            ]
        )
    }

    @Test("a site may have more servers that reset at once than a counter counts")
    func manyLocalServers() {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(near, isLocal: true), at: begin)
        let lost = RelayEnding.server(isUntouched: true, isReclaimed: true)
        for _ in 0..<600 {
            _ = stream.handle(.connected(server()), at: begin)
            let actions = stream.handle(.relayEnded(lost), at: begin)
            #expect(actions.count == 2)
        }
        #expect(
            stream.handle(.notConnected(.noEndpoint), at: begin) == [
                .failed(near, .noEndpoints), .close(inOrder: false), .count(.interrupted),
                .count(.closed),
            ]
        )
    }

    @Test("a relay whose server has moved bytes ends with the client's connection")
    func touchedRelay() {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(near, isLocal: true), at: begin)
        let server = server()
        _ = stream.handle(.connected(server), at: begin)
        let ending = RelayEnding.server(isUntouched: false, isReclaimed: false)
        #expect(
            stream.handle(.relayEnded(ending), at: begin) == [
                .serverReleased(server), .close(inOrder: false), .release(near),
                .count(.interrupted), .count(.closed),
            ]
        )
        #expect(stream.handle(.clientFailed, at: begin).isEmpty)
    }

    @Test(
        "silence on the only way counts against the target, and the client waits no longer than it may"
    )
    func silence() {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        #expect(
            stream.handle(.picked(far, isLocal: false), at: begin) == [.seek(far, Tried())]
        )
        let way = way()
        #expect(stream.handle(.asked(way, patience: nil), at: begin).isEmpty)
        #expect(stream.nextDeadline == begin + .milliseconds(3_500))
        #expect(stream.handle(.deadline, at: begin + .seconds(3)).isEmpty, "not yet")
        var tried = Tried()
        tried.routes = [route]
        let late = begin + .milliseconds(3_500)
        #expect(
            stream.handle(.deadline, at: late) == [
                .cancel, .wayFailed(way, .connectTimeout), .seek(far, tried),
            ]
        )
        #expect(
            stream.handle(.noWay, at: late) == [
                .failed(far, .connectTimeout), .pick(excluding: [far.site]),
            ]
        )
        #expect(
            stream.handle(.picked(nil, isLocal: false), at: late) == [
                .count(.failed), .close(inOrder: false),
            ]
        )
    }

    @Test(
        "a way that is given up early speaks against no target, and is asked again when none is left"
    )
    func early() {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(far, isLocal: false), at: begin)
        let way = way()
        _ = stream.handle(.asked(way, patience: .milliseconds(400)), at: begin)
        let then = begin + .milliseconds(400)
        var tried = Tried()
        tried.routes = [route]
        #expect(
            stream.handle(.deadline, at: then) == [
                .cancel, .wayFailed(way, .connectTimeout), .seek(far, tried),
            ]
        )
        #expect(stream.handle(.noWay, at: then) == [.seek(far, Tried())], "for as long as it takes")
    }

    @Test("a draining gateway is left for the target's others, and the target is tried again later")
    func draining() {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(far, isLocal: false), at: begin)
        let way = way()
        _ = stream.handle(.asked(way, patience: nil), at: begin)
        let input = IngressStream.Input.refused(.draining, by: route[0], isGenuine: true)
        var tried = Tried()
        tried.routes = [route]
        tried.gateways = [route[0]]
        #expect(
            stream.handle(input, at: begin) == [
                .leave, .wayFailed(way, .draining), .seek(far, tried),
            ]
        )
        #expect(
            stream.handle(.noWay, at: begin) == [
                .failed(far, .draining), .pick(excluding: [far.site]),
            ]
        )
        #expect(stream.handle(.picked(nil, isLocal: false), at: begin).isEmpty)
        #expect(stream.nextDeadline == begin + .milliseconds(20))
        let later = begin + .milliseconds(20)
        #expect(stream.handle(.deadline, at: later) == [.pick(excluding: [])])
    }

    private func opened() -> Opened {
        Opened(egress: route[0], window: 65_536, mac: [], isResumable: true)
    }

    @Test("a stream whose egress has ended waits for nobody, and the client's is reset")
    func egressEnded() throws {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(far, isLocal: false), at: begin)
        _ = stream.handle(.asked(way(), patience: nil), at: begin)
        _ = stream.handle(.opened(opened(), isGenuine: true), at: begin)
        let other = ProxyID(site: site(2), instance: 2)
        #expect(stream.handle(.proxiesEnded([other]), at: begin).isEmpty)
        _ = try stream.flow.receive(dataAt: 0, count: 1, at: begin)
        stream.flow.didWrite(1)
        _ = stream.handle(.pathLost(grace: .seconds(10)), at: begin)
        _ = stream.handle(.noWay, at: begin)
        #expect(stream.state.isDetached)
        #expect(stream.handle(.proxiesEnded([other]), at: begin).isEmpty)
        #expect(
            stream.handle(.proxiesEnded([other, route[0]]), at: begin) == [
                .reset(.pathLost), .close(inOrder: false), .lost(far), .count(.interrupted),
                .count(.closed),
            ]
        )
        #expect(stream.handle(.proxiesEnded([route[0]]), at: begin).isEmpty)
    }

    @Test("a refusal on the path in use is no answer to a RESUME: it breaks the rules")
    func refusedInUse() throws {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(far, isLocal: false), at: begin)
        let way = way()
        _ = stream.handle(.asked(way, patience: nil), at: begin)
        _ = stream.handle(.opened(opened(), isGenuine: true), at: begin)
        _ = try stream.flow.receive(dataAt: 0, count: 1, at: begin)
        stream.flow.didWrite(1)
        _ = stream.handle(.move, at: begin)
        _ = stream.handle(.askedBack(way, hadFin: false, patience: nil), at: begin)
        #expect(
            stream.handle(.refused(.noRoute, by: route[0], isGenuine: false), at: begin) == [
                .reset(.protocolError), .wayAbandoned(way), .close(inOrder: false), .lost(far),
                .count(.interrupted), .count(.closed),
            ]
        )
    }

    @Test("nothing was exchanged with an egress that has ended: another target is tried at once")
    func untouchedEgressEnded() {
        var stream = makeStream()
        _ = stream.handle(.start, at: begin)
        _ = stream.handle(.picked(far, isLocal: false), at: begin)
        let way = way()
        _ = stream.handle(.asked(way, patience: nil), at: begin)
        var tried = Tried()
        tried.routes = [route]
        #expect(
            stream.handle(.proxiesEnded([route[0]]), at: begin) == [
                .reset(.pathLost), .leave, .wayAbandoned(way), .seek(far, tried),
            ]
        )
        _ = stream.handle(.asked(way, patience: nil), at: begin)
        _ = stream.handle(.opened(opened(), isGenuine: true), at: begin)
        #expect(
            stream.handle(.proxiesEnded([route[0]]), at: begin) == [
                .reset(.pathLost), .leave, .release(far), .pick(excluding: [far.site]),
            ]
        )
    }

    @Test("a proxy that stops cuts what is open, and abandons what is not")
    func shutDown() {
        var asking = makeStream()
        _ = asking.handle(.start, at: begin)
        _ = asking.handle(.picked(far, isLocal: false), at: begin)
        let way = way()
        _ = asking.handle(.asked(way, patience: nil), at: begin)
        #expect(
            asking.handle(.shutDown, at: begin) == [
                .cancel, .wayAbandoned(way), .close(inOrder: false), .release(far),
            ]
        )
        var open = makeStream()
        _ = open.handle(.start, at: begin)
        _ = open.handle(.picked(far, isLocal: false), at: begin)
        _ = open.handle(.asked(way, patience: nil), at: begin)
        _ = open.handle(
            .opened(Opened(egress: way.route[0], window: 100, mac: []), isGenuine: true),
            at: begin
        )
        #expect(
            open.handle(.shutDown, at: begin) == [
                .reset(.shutdown), .close(inOrder: false), .release(far), .count(.interrupted),
                .count(.closed),
            ]
        )
    }
}
