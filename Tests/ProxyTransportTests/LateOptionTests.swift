import Glibc
import NetworkModel
import Testing

@testable import Proxy

/// What a socket costs before it is known to live.
@Suite("Late options", .timeLimit(.minutes(1)))
struct LateOptionTests {
    /// Whether an option is on, or its number.
    private func value(
        _ level: Int32,
        _ option: Int32,
        of socket: borrowing FileDescriptor
    ) -> Int32 {
        var value: Int32 = -1
        var size = socklen_t(MemoryLayout<Int32>.size)
        _ = unsafe getsockopt(socket.number, level, option, &value, &size)
        return value
    }

    @Test("a connected socket resets at once, is quick from its second write, probed when it lives")
    func connected() throws {
        let (listener, port) = BlockingSocket.listening()
        let socket = try FileDescriptor.connecting(to: Endpoint(address: loopback, port: port))
        let server = BlockingSocket(owning: accept(listener.number, nil, nil))
        var late = LateOptions.all
        let noDelay = { (socket: borrowing FileDescriptor) in
            value(Int32(IPPROTO_TCP), TCP_NODELAY, of: socket)
        }
        #expect(value(SOL_SOCKET, SO_LINGER, of: socket) == 1)
        #expect(noDelay(socket) == 0)
        socket.willWrite(&late)
        // The first write meets nothing that it would have to wait for.
        #expect(noDelay(socket) == 0)
        socket.willWrite(&late)
        #expect(noDelay(socket) == 1)
        #expect(value(SOL_SOCKET, SO_KEEPALIVE, of: socket) == 0)
        socket.willRest(&late)
        #expect(value(SOL_SOCKET, SO_KEEPALIVE, of: socket) == 1)
        #expect(value(Int32(IPPROTO_TCP), TCP_KEEPIDLE, of: socket) == 15)
        #expect(value(Int32(IPPROTO_TCP), TCP_KEEPINTVL, of: socket) == 5)
        #expect(value(Int32(IPPROTO_TCP), TCP_KEEPCNT, of: socket) == 3)
        server.close()
    }

    @Test("silence is looked for before keepalive would have begun to probe")
    func inTime() { #expect(PeerSilence.limit / 3 < .seconds(15)) }

    @Test("an own connection is known by both ends; the kernel is asked only where one fits")
    func ownSockets() throws {
        let sockets = OwnSockets()
        let service = try SharedService(service: #require(ServicePort("a/b"))) {}
        let ends = (1...4).map { Endpoint(address: loopback, port: UInt16($0)) }
        let owner = { (server: Endpoint) in OwnSockets.Owner(service: service, server: server) }
        let found = { (client: Endpoint, local: Endpoint) in
            sockets.owner(from: client, to: local)?.server
        }
        sockets.insert(.init(from: ends[0], to: ends[1]), owner(ends[1]))
        #expect(found(ends[0], ends[1]) == ends[1])
        #expect(found(ends[0], ends[2]) == nil)
        var asked = false
        let ask = { () -> Endpoint? in
            asked = true
            return ends[1]
        }
        #expect(sockets.owner(from: ends[3], to: ask()) == nil)
        #expect(!asked)
        // The kernel gives one port to connections with different other ends.
        sockets.insert(.init(from: ends[0], to: ends[2]), owner(ends[2]))
        sockets.remove(.init(from: ends[0], to: ends[3]))
        #expect(found(ends[0], ends[1]) == ends[1] && found(ends[0], ends[2]) == ends[2])
        sockets.remove(.init(from: ends[0], to: ends[1]))
        #expect(found(ends[0], ends[1]) == nil && found(ends[0], ends[2]) == ends[2])
        sockets.remove(.init(from: ends[0], to: ends[2]))
        #expect(found(ends[0], ends[2]) == nil)
    }

    @Test("the kernel is asked for a connection's own end only where it could come back")
    func ownEnd() throws {
        try withLoops { loop, _ in
            let (other, otherPort) = BlockingSocket.listening()
            let found = loop.run { loop -> [Bool]? in
                let listener = try? Listener(
                    address: loopback,
                    port: 0,
                    purpose: .service,
                    on: loop
                ) { _, _ in }
                guard let listener else { return nil }
                defer { listener.close() }
                let ports = [listener.endpoint.port, otherPort]
                return ports.map { port in
                    let connector = Connector(
                        to: Endpoint(address: loopback, port: port),
                        timeout: .seconds(1),
                        on: loop
                    ) { _ in }
                    defer { connector.cancel() }
                    return connector.ownEnd != nil
                }
            }
            #expect(found == [true, false])
            other.close()
        }
    }
}
