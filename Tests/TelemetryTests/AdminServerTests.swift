import Foundation
import FoundationNetworking
import Glibc
import Synchronization
import Testing

@testable import Telemetry

@Suite("Admin server")
struct AdminServerTests {
    private final class Switch: Sendable {
        let ready = Atomic(false)
    }

    private func withServer(
        _ readiness: @escaping @Sendable () -> AdminServer.Readiness = { .ready },
        health: @escaping @Sendable () -> AdminServer.Readiness = { .ready },
        host: String = "127.0.0.1",
        _ body: @escaping @Sendable (AdminServer, UInt16) async throws -> Void
    ) async throws {
        let registry = MetricsRegistry()
        registry.counter("tieline_test_total", help: "x").add(2)
        let server = AdminServer(
            host: host,
            port: 0,
            registry: registry,
            readiness: readiness,
            health: health
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            group.addTask {
                let deadline = ContinuousClock.now + .seconds(10)
                while server.listeningPort == nil, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await body(server, try #require(server.listeningPort))
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func get(
        _ port: UInt16,
        _ path: String,
        key: String? = nil
    ) async throws -> (status: Int, body: String) {
        var request = URLRequest(
            url: try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
        )
        if let key { request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization") }
        let (data, response) = try await URLSession.shared.data(for: request)
        let status = try #require((response as? HTTPURLResponse)?.statusCode)
        return (status, String(decoding: data, as: UTF8.self))
    }

    @Test("health, readiness and metrics are served; readiness is asked every time")
    func routes() async throws {
        let state = Switch()
        try await withServer({
            state.ready.load(ordering: .relaxed) ? .ready : .notReady("no configuration yet")
        }) { server, port in
            #expect(try await get(port, "/healthz").status == 200)
            let before = try await get(port, "/readyz")
            #expect(before.status == 503)
            #expect(before.body == "not ready: no configuration yet\n")
            state.ready.store(true, ordering: .relaxed)
            #expect(try await get(port, "/readyz").status == 200)
            #expect(try await get(port, "/metrics").body.contains("tieline_test_total 2\n"))
            #expect(try await get(port, "/nothing").status == 404)
        }
    }

    @Test(
        "P1: /healthz says which loop does not turn, also while no task gets on",
        .timeLimit(.minutes(1))
    )
    func health() async throws {
        try await withServer(health: { .notReady("loop 1 has not turned for 6 s") }) { _, port in
            let blocked = BlockedPool()
            defer { blocked.open() }
            await blocked.fill()
            let caller = try Caller(port)
            caller.send("GET /healthz HTTP/1.1\r\n\r\n")
            let answer = String(decoding: caller.received(within: 5_000) ?? [], as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
            #expect(answer.hasSuffix("\r\n\r\nloop 1 has not turned for 6 s\n"))
        }
    }

    @Test("P14: HEAD is answered as GET, without the body")
    func head() async throws {
        try await withServer { server, port in
            for path in ["/healthz", "/readyz", "/metrics"] {
                let caller = try Caller(port)
                caller.send("HEAD \(path) HTTP/1.1\r\n\r\n")
                let answer = String(decoding: caller.received(within: 5_000) ?? [], as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 200 OK"), "\(path)")
                #expect(answer.hasSuffix("\r\n\r\n"), "\(path)")
                #expect(!answer.contains("Content-Length: 0"), "\(path)")
            }
        }
    }

    @Test("P3: every address is IPv6 and IPv4")
    func dual() async throws {
        try await withServer(host: "::") { _, port in
            #expect(try await get(port, "/healthz").status == 200)
            let caller = try Caller(v6: port)
            caller.send("GET /healthz HTTP/1.1\r\n\r\n")
            let answer = String(decoding: caller.received(within: 5_000) ?? [], as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK"))
        }
    }

    @Test("an added route sees its query and key")
    func added() async throws {
        try await withServer { server, port in
            server.addRoute("/v1/x") { request in
                guard constantTimeEquals(request.bearerKey ?? "", "key") else {
                    return .text("", status: 401)
                }
                return .text("after=\(request.query["after"] ?? "")")
            }
            #expect(try await get(port, "/v1/x?after=7").status == 401)
            #expect(try await get(port, "/v1/x?after=7", key: "kez").status == 401)
            let answer = try await get(port, "/v1/x?after=7&wait=30s", key: "key")
            #expect(answer.status == 200)
            #expect(answer.body == "after=7")
        }
    }

    @Test("a taken port is an error, not a wait")
    func taken() async throws {
        try await withServer { _, port in
            let second = AdminServer(
                host: "127.0.0.1",
                port: port,
                registry: MetricsRegistry(),
                readiness: { .ready }
            )
            await #expect(throws: AdminServerError.self) { try await second.run() }
        }
    }

    @Test(
        "silent callers are bounded in number and in time, and keep nobody else out",
        .timeLimit(.minutes(1))
    )
    func silence() async throws {
        try await withServer { _, port in
            let callers = try (0..<300).map { _ in try Caller(port) }
            for _ in 0..<20 { #expect(try await get(port, "/healthz").status == 200) }
            // 128 at once: the oldest made room.
            #expect(callers[0].received(within: 1_000) == [])
            // And the newest have 5 s.
            #expect(callers[299].received(within: 10_000) == [])
        }
    }

    @Test("a head that has no end is refused", .timeLimit(.minutes(1)))
    func endless() async throws {
        try await withServer { _, port in
            let caller = try Caller(port)
            caller.send("GET /healthz HTTP/1.1\r\nX: ")
            caller.send(String(repeating: "x", count: RequestHead.limit))
            let answer = caller.received(within: 10_000) ?? []
            #expect(answer.isEmpty || String(decoding: answer, as: UTF8.self).contains(" 431 "))
            #expect(try await get(port, "/healthz").status == 200)
        }
    }

    @Test("a handler is canceled when its client has gone", .timeLimit(.minutes(1)))
    func gone() async throws {
        let (ends, told) = AsyncStream<Bool>.makeStream()
        try await withServer { server, port in
            server.addRoute("/wait") { _ in
                told.yield(false)
                try? await Task.sleep(for: .seconds(50))
                told.yield(Task.isCancelled)
                return .text("")
            }
            let caller = try Caller(port)
            caller.send("GET /wait HTTP/1.1\r\n\r\n")
            var iterator = ends.makeAsyncIterator()
            #expect(await iterator.next() == false)
            caller.end()
            #expect(await iterator.next() == true)
        }
    }

    @Test(
        "heads are read as they come, byte by byte too",
        arguments: [
            ("GET / HTTP/1.1\r\n\r\n", RequestHead.Progress.request(AdminRequest(path: "/"))),
            (
                "GET /a?b=1&c=&d HTTP/1.0\nHost: x\nauthorization:  Bearer k\n\n",
                .request(
                    AdminRequest(
                        path: "/a",
                        query: ["b": "1", "c": "", "d": ""],
                        authorization: "Bearer k"
                    )
                )
            ),
            ("POST / HTTP/1.1\r\n\r\n", .refused(405, "only GET and HEAD are answered here\n")),
            (
                "GET x HTTP/1.1\r\n\r\n",
                .refused(400, "the target of a request begins with a slash\n")
            ),
            ("\r\n\r\n", .refused(400, "this is not an HTTP/1 request\n")),
            ("GET / HTTP/2\r\n\r\n", .refused(400, "this is not an HTTP/1 request\n")),
            ("GET / HTTP/1.1\r\nHost: x\r\n", .incomplete),
        ]
    )
    func heads(_ text: String, _ expected: RequestHead.Progress) {
        let bytes = Array(text.utf8)
        var whole = RequestHead()
        #expect(whole.append(bytes[...]) == expected)
        var single = RequestHead()
        var progress = RequestHead.Progress.incomplete
        for byte in bytes where progress == .incomplete { progress = single.append([byte]) }
        #expect(progress == expected)
    }

    @Test("waiters beyond the limit are refused at once")
    func waiters() async {
        let waiters = Waiters(limit: 1)
        let inner = await waiters.wait { await waiters.wait { 1 } }
        #expect(inner == .some(nil))
        #expect(await waiters.wait { 2 } == 2)
    }
}

/// Keeps every thread of the task pool busy until it is opened.
private final class BlockedPool: Sendable {
    private let isOpen = Atomic(false)
    private let blocked = Atomic(0)

    func open() { isOpen.store(true, ordering: .relaxed) }

    func fill() async {
        // One thread is left to whoever asks: the test itself runs on it.
        let threads = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1)
        for _ in 0..<(threads + 8) {
            Task.detached { [self] in
                blocked.add(1, ordering: .relaxed)
                while !isOpen.load(ordering: .relaxed) { usleep(1_000) }
            }
        }
        let deadline = ContinuousClock.now + .seconds(5)
        while blocked.load(ordering: .relaxed) < threads, ContinuousClock.now < deadline {
            usleep(1_000)
        }
    }
}

@Suite("Review server")
struct ReviewServerTests {
    private func withServer(
        _ answer: @escaping ReviewServer.Answer,
        _ body: @escaping @Sendable (UInt16) async throws -> Void
    ) async throws {
        let server = try ReviewServer(
            host: "127.0.0.1",
            port: 0,
            path: "/ask",
            bodyLimit: 1 << 20,
            channel: {
                SecureChannel(
                    open: { .init(plaintext: Array($0), reply: [], isOver: false) },
                    seal: { $0 }
                )
            },
            answer: answer
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await server.run() }
            group.addTask { try await body(server.port) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private static func post(_ size: Int) -> String {
        "POST /ask HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n"
            + String(repeating: "x", count: size)
    }

    private static func isAnswered(_ caller: Caller) -> Bool {
        let bytes = caller.received(within: 10_000) ?? []
        return String(decoding: bytes, as: UTF8.self).hasPrefix("HTTP/1.1 200")
    }

    @Test("large reviews wait for large ones only")
    func large() async throws {
        let gate = DispatchSemaphore(value: 0)
        try await withServer {
            if $0.count > 100_000 { gate.wait() }
            return .text("seen\n")
        } _: { port in
            let large = try (0..<3).map { _ in try Caller(port) }
            for caller in large { caller.send(Self.post(200_000)) }
            for _ in 0..<20 {
                let small = try Caller(port)
                small.send(Self.post(10))
                #expect(Self.isAnswered(small))
            }
            for _ in large { gate.signal() }
            for caller in large { #expect(Self.isAnswered(caller)) }
        }
    }

    @Test("who opens more connections than there are pushes out his own")
    func crowd() async throws {
        try await withServer { _ in
            .text("seen\n")
        } _: { port in
            let first = try Caller(port, from: "127.0.0.2")
            first.send("POST /ask HTTP/1.1\r\n")
            let crowd = try (0..<300).map { _ in try Caller(port) }
            first.send("Host: a\r\nContent-Length: 1\r\n\r\nx")
            #expect(Self.isAnswered(first))
            #expect(crowd[0].received(within: 10_000) == [], "the crowd's oldest had to go")
        }
    }
}

/// A client that says what it is told to, and no more.
private final class Caller {
    private let descriptor: Int32

    init(_ port: UInt16, from source: String = "127.0.0.1") throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = unsafe inet_addr(source)
        var status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, size)
            }
        }
        try #require(status == 0)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
        status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, size)
            }
        }
        try #require(status == 0)
    }

    /// On the loopback address of IPv6.
    init(v6 port: UInt16) throws {
        descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        _ = unsafe inet_pton(AF_INET6, "::1", &address.sin6_addr)
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        try #require(status == 0)
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        _ = unsafe Glibc.send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
    }

    func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// What comes until the server ends the connection; nil when it does not within `milliseconds`.
    func received(within milliseconds: Int32) -> [UInt8]? {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&watched, 1, milliseconds) == 1 else { return nil }
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return all }
            all += buffer[..<count]
        }
    }
}
