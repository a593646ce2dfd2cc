import Balancing
import NetworkModel
import Streaming
import TestSupport
import Wire

/// A stream's end at a server: the ingress, hops and servers say what they like, whenever they like.
///
/// Every server is given back once, the ingress is answered at most once, and the end is told once.
func fuzzServer(_ bytes: [UInt8]) {
    var decisions = Decisions(bytes)
    var server = FuzzedServer(&decisions)
    while !decisions.isEmpty { server.step(&decisions) }
    server.end()
}

private struct FuzzedServer: ~Copyable {
    private static let own = ProxyID(site: site(2), instance: 1)
    private static let service: ServicePort = {
        guard let service = ServicePort("backend/http") else { preconditionFailure() }
        return service
    }()
    private static let ingress = ProxyID(site: site(1), instance: 1)

    private var stream: EgressStream
    private var servers = EndpointBalancer()
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var held: Set<UInt64> = []
    private var isConnecting = false
    private var answers = 0
    private var ends = 0

    init(_ decisions: inout Decisions) {
        let open = Open(
            name: StreamName(ingress: Self.ingress, number: 1),
            service: Self.service,
            route: [Self.own],
            target: site(2),
            client: Endpoint(address: .v4(0x7F00_0001), port: 1),
            window: UInt32(decisions.number()),
            isResumable: decisions.byte() % 4 != 0
        )
        let flow = StreamFlow(BufferPool(), window: 65_536, hasSocket: false, at: now)
        let timeouts = ServiceTimeouts(
            connect: .seconds(3),
            idle: .seconds(60),
            halfClosed: .seconds(20)
        )
        stream = EgressStream(open, flow, timeouts: timeouts)
        try? stream.keepEarly(decisions.bytes(Int(decisions.byte() % 8)))
        let endpoints = (1...3).map { Endpoint(address: .v4(0x0A00_0001), port: UInt16($0)) }
        servers.update(
            endpoints.map { .init(endpoint: $0, isReady: true, isServing: true) },
            at: now
        )
        feed(.start)
    }

    mutating func step(_ decisions: inout Decisions) {
        now = now + .milliseconds(Int(decisions.byte()))
        switch decisions.byte() % 10 {
        case 0, 1: if isConnecting { connected(&decisions) }
        case 2: if case .open = stream.state { feed(.serverFailed) }
        case 3: feed(.pathLost(grace: .seconds(Int(decisions.byte() % 12))))
        case 4, 5: resume(&decisions)
        case 6: exchange(&decisions)
        case 7: if let due = stream.nextDeadline { wait(until: due) }
        case 8: if case .open = stream.state, stream.endOfSocket(at: now) { feed(.serverFailed) }
        default: fault(&decisions)
        }
    }

    mutating func end() {
        feed(.shutDown)
        precondition(ends == 1, "ended \(ends) times")
        precondition(held.isEmpty, "kept a server")
        precondition(!isConnecting, "connects after its end")
        precondition(stream.nextDeadline == nil, "waits after its end")
    }

    private mutating func connected(_ decisions: inout Decisions) {
        isConnecting = false
        guard decisions.byte() % 4 != 0, let server = servers.pick(at: now) else {
            let reason = Refused.Reason(rawValue: decisions.byte() % 16) ?? .other
            return feed(.notConnected(reason))
        }
        held.insert(server.number)
        feed(.connected(server))
    }

    private mutating func resume(_ decisions: inout Decisions) {
        let isRight = decisions.byte() % 4 != 0
        let standing = StreamStanding(
            next: isRight ? stream.flow.sender.ring.start : decisions.long(),
            hasFin: decisions.byte() % 8 == 0,
            window: UInt32(decisions.number())
        )
        let request = Resume(
            name: stream.name,
            epoch: UInt32(decisions.byte()),
            route: [Self.own],
            standing: standing
        )
        guard case .impossible = stream.resume(request, at: Self.own) else { return }
        feed(.violated)
    }

    /// Bytes of the ingress, and of the server.
    private mutating func exchange(_ decisions: inout Decisions) {
        guard stream.flow.isOpen else { return }
        let count = Int(decisions.byte())
        do throws(StreamViolation) {
            if decisions.byte() % 8 == 0 {
                try stream.flow.receive(Fin(offset: stream.flow.receiver.next))
            } else {
                try receive(count)
            }
        } catch {
            return feed(.violated)
        }
        guard stream.flow.hasSocket, stream.flow.sender.finOffset == nil else { return }
        _ = stream.flow.fill(atMost: count, at: now) { space in
            unsafe space.first.initializeMemory(as: UInt8.self, repeating: 7)
            return unsafe space.first.count
        }
        var frames = FrameBuffer()
        _ = stream.flow.appendData(atMost: count, label: 1, to: &frames)
    }

    private mutating func receive(_ count: Int) throws(StreamViolation) {
        let next = stream.flow.receiver.next
        let known = try stream.flow.receive(dataAt: next, count: count, at: now)
        let fresh = [UInt8](repeating: 7, count: count - known)
        guard !fresh.isEmpty else { return }
        if stream.flow.writesThrough { return stream.flow.didWrite(fresh.count) }
        fresh.withRawSpan { stream.flow.keep($0) }
        guard stream.flow.hasSocket else { return }
        _ = unsafe stream.flow.drain(at: now) { $0.count / 2 }
    }

    private mutating func wait(until due: Instant) {
        now = max(now, due)
        feed(.deadline)
        precondition(stream.nextDeadline.map { $0 > now } ?? true, "a time limit that stays over")
    }

    private mutating func fault(_ decisions: inout Decisions) {
        let faults: [EgressStream.Input] = [
            .cancelled, .reset(.endpoint), .proxiesEnded([Self.ingress]), .violated, .overloaded,
            .finished, .shutDown,
        ]
        guard decisions.byte() % 4 == 0 else { return }
        feed(faults[Int(decisions.byte()) % faults.count])
    }

    private mutating func feed(_ input: EgressStream.Input) {
        for action in stream.handle(input, at: now) {
            switch action {
            case .connect:
                precondition(!isConnecting && ends == 0, "connects twice")
                isConnecting = true
            case .stopConnecting: isConnecting = false
            case .serverReleased(let server), .serverFailed(let server, _):
                precondition(held.remove(server.number) != nil, "given back twice")
                servers.release(server)
            case .answer, .refuse:
                answers += 1
                precondition(answers == 1, "answered twice")
            case .close:
                ends += 1
                precondition(ends == 1, "closed twice")
            case .dropServer, .reset, .bury: break
            }
        }
    }
}
