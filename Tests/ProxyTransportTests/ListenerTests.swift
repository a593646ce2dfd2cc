import CLinux
import Glibc
import NetworkModel
import TestSupport
import Testing

@testable import Proxy

@Suite("Listener", .timeLimit(.minutes(1)), .serialized)
struct ListenerTests {
    @Test("two loops listen at one port and share its connections")
    func sharing() throws {
        try withLoops { first, second in
            let counts = Shared([0, 0])
            let listen = { @Sendable (port: UInt16) in
                { @Sendable (loop: EventLoop) -> UInt16 in
                    let index = loop.index
                    // A reset at once could reach a client that is still in `connect`.
                    let kept = Keeper()
                    loop.setLocal(kept)
                    let made = try? Listener(
                        address: loopback,
                        port: port,
                        purpose: .service,
                        on: loop
                    ) { socket, remote in
                        kept.keep(socket)
                        if remote.address == loopback { counts.update { $0[index] += 1 } }
                    }
                    if let made { loop.setLocal(made) }
                    return made?.endpoint.port ?? 0
                }
            }
            let port = try #require(first.run(listen(0)))
            #expect(second.run(listen(port)) == port)
            var clients: [BlockingSocket] = []
            for _ in 0..<200 { clients.append(try #require(BlockingSocket.connected(to: port))) }
            #expect(eventually { counts.value[0] + counts.value[1] == 200 })
            #expect(counts.value[0] > 20 && counts.value[1] > 20)
            first.closeListener()
            second.closeListener()
            #expect(BlockingSocket.connected(to: port) == nil)
        }
    }

    @Test("clients whose connections are up when a listener ends are served, not reset")
    func backlog() throws {
        try withLoops { first, second in
            let accepted = Shared(0)
            let port = first.run { loop -> UInt16 in
                let kept = Keeper()
                loop.setLocal(kept)
                let made = try? Listener(address: loopback, port: 0, purpose: .service, on: loop) {
                    socket,
                    _ in
                    kept.keep(socket)
                    accepted.update { $0 += 1 }
                }
                if let made { loop.setLocal(made) }
                return made?.endpoint.port ?? 0
            }
            let number = try #require(port)
            // The loop stands still while they connect; the listener ends before it looks.
            let isHeld = Shared(true)
            first.mailbox.post { loop in
                while isHeld.value { usleep(1_000) }
                loop.local(Listener.self)?.close()
            }
            var clients: [BlockingSocket] = []
            for _ in 0..<100 { clients.append(try #require(BlockingSocket.connected(to: number))) }
            isHeld.update { $0 = false }
            #expect(eventually { accepted.value == 100 })
            _ = second
        }
    }

    @Test("all addresses are IPv4 and IPv6, and IPv4 clients keep their IPv4 address")
    func anyAddress() throws {
        try withLoops { loop, _ in
            let remote = Shared<Endpoint?>(nil)
            let port = loop.run { loop -> UInt16 in
                let made = try? Listener(address: nil, port: 0, purpose: .service, on: loop) {
                    _,
                    from in
                    remote.update { $0 = from }
                }
                if let made { loop.setLocal(made) }
                return made?.endpoint.port ?? 0
            }
            let number = try #require(port)
            let client = try #require(BlockingSocket.connected(to: number))
            #expect(eventually { remote.value != nil })
            #expect(remote.value?.address == loopback)
            client.close()
        }
    }

    @Test("what a listener accepts has the options of a relayed socket, and no user time-out")
    func options() throws {
        try withLoops { loop, _ in
            let found = Shared<[Int32]>([])
            let port = loop.run { loop -> UInt16 in
                let made = try? Listener(
                    address: loopback,
                    port: 0,
                    purpose: .service,
                    on: loop
                ) { socket, _ in
                    let number = socket.number
                    let values = [
                        (Int32(IPPROTO_TCP), TCP_NODELAY), (SOL_SOCKET, SO_KEEPALIVE),
                        (Int32(IPPROTO_TCP), TCP_KEEPIDLE), (Int32(IPPROTO_TCP), TCP_KEEPINTVL),
                        (Int32(IPPROTO_TCP), TCP_KEEPCNT), (Int32(IPPROTO_TCP), TCP_USER_TIMEOUT),
                        (SOL_SOCKET, SO_LINGER),
                    ].map { level, option in
                        var value: Int32 = -1
                        var size = socklen_t(MemoryLayout<Int32>.size)
                        // Of SO_LINGER the first half: whether it is on.
                        _ = unsafe getsockopt(number, level, option, &value, &size)
                        return value
                    }
                    let flags = fcntl(number, F_GETFL) & O_NONBLOCK
                    found.update { $0 = values + [flags] }
                }
                if let made { loop.setLocal(made) }
                return made?.endpoint.port ?? 0
            }
            let number = try #require(port)
            let client = try #require(BlockingSocket.connected(to: number))
            #expect(eventually { !found.value.isEmpty })
            #expect(found.value == [1, 1, 15, 5, 3, 0, 1, O_NONBLOCK])
            client.close()
        }
    }

    @Test(
        "P4: a port that somebody else would share is an error too, and is free again after a close"
    )
    func shared() throws {
        try withLoops { first, second in
            // As a second process does it that sets SO_REUSEPORT, as our own loops do among themselves.
            let (other, port) = BlockingSocket.listening(shared: true)
            let listen = { @Sendable (port: UInt16) in
                { @Sendable (loop: EventLoop) -> String in
                    do {
                        let made = try Listener(
                            address: loopback,
                            port: port,
                            purpose: .service,
                            on: loop
                        ) { _, _ in }
                        loop.setLocal(made)
                        return "listens at \(made.endpoint)"
                    } catch { return "\(error)" }
                }
            }
            #expect(first.run(listen(port))?.contains("Address already in use") == true)
            other.close()
            let text = "listens at 127.0.0.1:\(port)"
            #expect(first.run(listen(port)) == text)
            #expect(second.run(listen(port)) == text)
            // Nobody else gets in while one of ours is there.
            first.closeListener()
            #expect(BlockingSocket.isFree(port) == false)
            second.closeListener()
            #expect(BlockingSocket.isFree(port))
            #expect(second.run(listen(port)) == text)
            second.closeListener()
        }
    }

    @Test("a port that somebody else has is an error that says so")
    func taken() throws {
        try withLoops { loop, _ in
            let (other, port) = BlockingSocket.listening()
            let text = loop.run { loop -> String in
                do {
                    let made = try Listener(
                        address: loopback,
                        port: port,
                        purpose: .service,
                        on: loop
                    ) { _, _ in }
                    return "listens at \(made.endpoint)"
                } catch { return "\(error)" }
            }
            #expect(text == "bind: Address already in use")
            other.close()
        }
    }

    @Test(
        "without descriptors a listener pauses instead of spinning, and goes on when there are some"
    )
    func exhaustion() async throws {
        await #expect(processExitsWith: .success) {
            closeInheritedSockets()
            var limits = rlimit(rlim_cur: 64, rlim_max: 64)
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            let loop = try EventLoopThread(index: 0)
            let accepted = Shared(0)
            let port = loop.run { loop -> UInt16 in
                // Keeps what it accepts until it is told otherwise.
                let kept = Keeper()
                loop.setLocal(kept)
                let made = try? Listener(
                    address: loopback,
                    port: 0,
                    purpose: .service,
                    on: loop
                ) { socket, _ in
                    kept.keep(socket)
                    accepted.update { $0 += 1 }
                }
                if let made { loop.setLocal(made) }
                return made?.endpoint.port ?? 0
            }
            guard let port, port != 0 else { exit(2) }
            // The clients' ends are descriptors of the same process: they take all that there are while the loop waits.
            let areConnected = Shared(false)
            let isHeld = Shared(false)
            loop.mailbox.post { _ in
                isHeld.update { $0 = true }
                while !areConnected.value { usleep(1_000) }
            }
            guard eventually({ isHeld.value }) else { exit(6) }
            var clients: [BlockingSocket] = []
            while clients.count < 64, let client = BlockingSocket.connected(to: port) {
                clients.append(client)
            }
            let freed = 4
            for _ in 0..<freed { clients.removeLast().close() }
            areConnected.update { $0 = true }
            guard eventually({ accepted.value == freed }) else { exit(3) }
            let before = processorTime()
            usleep(500_000)
            guard accepted.value == freed, processorTime() - before < 100_000 else { exit(4) }
            // Room again: those that waited are accepted.
            for client in clients.prefix(freed) { client.close() }
            _ = loop.run { loop -> Bool in
                loop.local(Keeper.self)?.drop()
                return true
            }
            guard eventually({ accepted.value > freed }) else { exit(5) }
            loop.stop()
            exit(0)
        }
    }
}

/// What this process has used so far, in microseconds of user time.
private func processorTime() -> Int {
    var usage = rusage()
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_utime.tv_sec * 1_000_000 + usage.ru_utime.tv_usec
}

/// Sockets that nobody relays.
private final class Keeper {
    private var numbers: [Int32] = []

    func keep(_ socket: consuming FileDescriptor) { numbers.append(socket.release()) }

    func drop() {
        numbers.forEach { _ = close($0) }
        numbers = []
    }

    deinit { drop() }
}
