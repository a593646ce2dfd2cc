import Foundation
import HTTPTransport
import NetworkTestSupport
import Synchronization
import Testing

@Suite("HTTPTransport", .timeLimit(.minutes(1)))
struct HTTPTransportTests {
    private let transport = HTTPTransport()

    @Test("an answer arrives whole, with its headers, whatever its status")
    func answers() async throws {
        let server = try CannedServer { _, client in
            _ = client.write(
                answer("404 Not Found", "nothing", headers: "X-Kind: a\r\nx-kind:b\r\n")
            )
        }
        defer { server.stop() }
        let response = try await transport.send(HTTPRequest(url: server.url + "/x"))
        #expect(response.status == 404)
        #expect(String(decoding: response.body, as: UTF8.self) == "nothing")
        #expect(response.head.values(of: "X-KIND") == ["a", "b"])
    }

    @Test(
        "method, headers and body are sent as given",
        arguments: ["POST", "PUT", "PATCH", "DELETE"]
    )
    func requests(method: String) async throws {
        let server = try CannedServer { _, client in _ = client.write(answer("200 OK", "{}")) }
        defer { server.stop() }
        var request = HTTPRequest(method: method, url: server.url + "/a?b=c")
        request.headers = [("Content-Type", "application/json"), ("Authorization", "Bearer t")]
        request.body = Data("{\"a\": 1}".utf8)
        _ = try await transport.send(request)
        let seen = try #require(server.requests.first)
        #expect(seen.hasPrefix("\(method) /a?b=c HTTP/1.1\r\n"))
        #expect(seen.contains("Content-Type: application/json"))
        #expect(seen.contains("Authorization: Bearer t"))
        #expect(seen.hasSuffix("\r\n\r\n{\"a\": 1}"))
        #expect(!seen.contains("Expect:"))
    }

    @Test("a request without body has none")
    func emptyBodies() async throws {
        let server = try CannedServer { _, client in _ = client.write(answer("200 OK", "{}")) }
        defer { server.stop() }
        for method in ["GET", "DELETE", "POST"] {
            _ = try await transport.send(HTTPRequest(method: method, url: server.url))
        }
        let methods = server.requests.map { $0.prefix { $0 != " " } }
        #expect(methods == ["GET", "DELETE", "POST"])
        #expect(server.requests.allSatisfy { $0.hasSuffix("\r\n\r\n") })
    }

    @Test("many requests at once each get their own answer")
    func parallel() async throws {
        let server = try CannedServer { request, client in
            let path = request.split(separator: " ")[1]
            _ = client.write(answer("200 OK", String(path)))
        }
        defer { server.stop() }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let response = try await transport.send(
                        HTTPRequest(url: server.url + "/\(number)")
                    )
                    return String(decoding: response.body, as: UTF8.self) == "/\(number)"
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
    }

    @Test("a stream delivers bytes as they come and ends with the answer")
    func streams() async throws {
        let gate = Gate()
        let server = try CannedServer { _, client in
            _ = client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            gate.wait()
            _ = client.write("3\r\ntwo\r\n0\r\n\r\n")
        }
        defer { server.stop() }
        let pieces = try await transport.withStream(HTTPRequest(url: server.url)) { head, body in
            #expect(head.status == 200)
            var pieces: [String] = []
            for try await chunk in body {
                pieces.append(String(decoding: chunk, as: UTF8.self))
                gate.open()
            }
            return pieces
        }
        #expect(pieces == ["one", "two"])
    }

    @Test(
        "streams without TLS do not wait for each other"
    )
    func streamsWithoutTLS() async throws {
        let gate = Gate()
        let server = try CannedServer { _, client in
            _ = client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            gate.wait()
        }
        defer { server.stop() }
        defer { gate.open() }
        var request = HTTPRequest(url: server.url)
        request.timeout = .seconds(10)
        func open(_ count: Int) async throws {
            try await transport.withStream(request) { head, _ in
                #expect(head.status == 200)
                if count > 1 { try await open(count - 1) }
            }
        }
        // A controller has more watches than this.
        try await open(40)
    }

    @Test("leaving a stream closes its connection")
    func leaving() async throws {
        let gate = Gate()
        let server = try CannedServer { _, client in
            _ = client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            while client.write("3\r\nxyz\r\n") { Thread.sleep(forTimeInterval: 0.005) }
            gate.open()
        }
        defer { server.stop() }
        try await transport.withStream(HTTPRequest(url: server.url)) { _, body in
            for try await _ in body { break }
        }
        #expect(await eventually { gate.isOpen })
    }

    @Test("a slow reader's stream ends at its bound, with what it had and an overflow")
    func overflow() async throws {
        let gate = Gate()
        let server = try CannedServer { _, client in
            _ = client.write("HTTP/1.1 200 OK\r\n\r\n")
            let block = Data(repeating: 65, count: 100_000)
            while client.write(block) {}
            gate.open()
        }
        defer { server.stop() }
        var request = HTTPRequest(url: server.url)
        request.streamLimit = 1_000_000
        await #expect {
            try await transport.withStream(request) { _, body in
                var total = 0
                #expect(await eventually { gate.isOpen }, "the connection ends at the bound")
                for try await chunk in body { total += chunk.count }
            }
        } throws: { ($0 as? TransportError)?.kind == .overflow }
    }

    @Test("an answer longer than the limit is refused")
    func bodyLimit() async throws {
        let server = try CannedServer { _, client in
            _ = client.write(answer("200 OK", String(repeating: "x", count: 2000)))
        }
        defer { server.stop() }
        var request = HTTPRequest(url: server.url)
        request.bodyLimit = 1999
        let error = await #expect(throws: TransportError.self) { try await transport.send(request) }
        #expect(error?.kind == .overflow)
    }
}

@Suite("HTTPTransport: failures", .timeLimit(.minutes(1)))
struct TransportFailureTests {
    private let transport = HTTPTransport()

    private func kind(_ request: HTTPRequest) async -> TransportError.Kind? {
        do {
            _ = try await transport.send(request)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test("nobody listening, no such name, a malformed URL, another protocol")
    func connecting() async throws {
        let dead = try TestSocket.reserved()
        defer { withExtendedLifetime(dead) {} }
        let port = dead.port
        #expect(await kind(HTTPRequest(url: "http://127.0.0.1:\(port)")) == .notConnected)
        var request = HTTPRequest(url: "http://does-not-exist.invalid")
        request.proxy = .none
        // A resolver asks a silent name server for 10 s and more.
        request.connectTimeout = .seconds(45)
        #expect(await kind(request) == .nameNotResolved)
        #expect(await kind(HTTPRequest(url: "http://")) == .invalidRequest)
        #expect(await kind(HTTPRequest(url: "file:///etc/passwd")) == .invalidRequest)
        var smuggled = HTTPRequest(url: "http://127.0.0.1:\(port)")
        smuggled.headers = [("A", "b\r\nC: d")]
        #expect(await kind(smuggled) == .invalidRequest)
    }

    @Test("an answer cut off is broken, never a shorter answer")
    func cutOff() async throws {
        let server = try CannedServer { _, client in
            _ = client.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            client.end()
        }
        defer { server.stop() }
        #expect(await kind(HTTPRequest(url: server.url)) == .broken)
    }

    @Test("a request that takes too long is timed out")
    func timeout() async throws {
        let server = try CannedServer { _, _ in }
        defer { server.stop() }
        let request = HTTPRequest(url: server.url, timeout: .seconds(1))
        #expect(await kind(request) == .timedOut)
    }

    @Test("a peer that takes the connection and never finishes the handshake is not connected")
    func handshake() async throws {
        let silent = try TestSocket.listening()
        defer { silent.end() }
        var request = HTTPRequest(
            url: "https://127.0.0.1:\(silent.port)",
            timeout: .milliseconds(300)
        )
        #expect(await kind(request) == .notConnected)
        request.timeout = nil
        request.connectTimeout = .milliseconds(300)
        #expect(await kind(request) == .notConnected)
    }

    @Test(
        "a peer that ends the connection within the handshake is not connected, as behind a load balancer; one without TLS is at fault",
        arguments: HandshakeEnd.allCases
    )
    func lostHandshake(_ end: HandshakeEnd) async throws {
        let listener = try TestSocket.listening()
        defer { listener.end() }
        Thread.detachNewThread {
            while let client = listener.accept() {
                if end != .resetAtOnce { _ = client.read() }
                if end == .noTLS { _ = client.write("who is there?\r\n") }
                if end == .resetAtOnce || end == .reset { client.resetOnClose() }
            }
        }
        let failure = await kind(HTTPRequest(url: "https://127.0.0.1:\(listener.port)"))
        #expect(failure == (end == .noTLS ? .tls : .notConnected))
    }

    enum HandshakeEnd: CaseIterable {
        case resetAtOnce, reset, finish, noTLS
    }

    @Test("a request that waits for a connection ends in time")
    func pending() async throws {
        let server = try CannedServer { _, _ in }
        defer { server.stop() }
        let url = server.url
        // They hold both connections that one host gets.
        let holders = (0..<2).map { _ in Task { await kind(HTTPRequest(url: url)) } }
        #expect(await eventually { server.requests.count == 2 })
        let start = ContinuousClock.now
        #expect(await kind(HTTPRequest(url: url, timeout: .milliseconds(300))) == .notConnected)
        #expect(ContinuousClock.now - start < .seconds(2))
        for holder in holders {
            holder.cancel()
            _ = await holder.value
        }
    }

    @Test("a canceled task leaves its request at once")
    func cancellation() async throws {
        let server = try CannedServer { _, _ in }
        defer { server.stop() }
        let task = Task { await kind(HTTPRequest(url: server.url)) }
        #expect(await eventually { !server.requests.isEmpty })
        let start = ContinuousClock.now
        task.cancel()
        #expect(await task.value == .canceled)
        // Its own time is a minute.
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    @Test("a silent stream is given up after its idle time")
    func idle() async throws {
        let server = try CannedServer { _, client in
            _ = client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        }
        defer { server.stop() }
        var request = HTTPRequest(url: server.url, timeout: nil)
        request.idleTimeout = .milliseconds(100)
        await #expect {
            try await transport.withStream(request) { _, body in for try await _ in body {} }
        } throws: { ($0 as? TransportError)?.kind == .timedOut }
    }

    @Test("a transport that is gone takes nobody with it")
    func shutdown() async throws {
        let server = try CannedServer { _, client in _ = client.write(answer("200 OK", "")) }
        defer { server.stop() }
        for _ in 0..<20 {
            let transport = HTTPTransport()
            #expect(try await transport.send(HTTPRequest(url: server.url)).status == 200)
        }
    }
}

/// A door that one thread waits at and another opens.
final class Gate: Sendable {
    private let state = Mutex(false)

    var isOpen: Bool { state.withLock { $0 } }
    func open() { state.withLock { $0 = true } }
    func wait() { while !isOpen { Thread.sleep(forTimeInterval: 0.001) } }
}
