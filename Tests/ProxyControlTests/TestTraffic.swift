import NetworkModel
import SiteControl
import Testing

@testable import Proxy

/// Servers that say their name, and clients that hear it and hold the connection; all on one loop of their own.
final class TestTraffic: Sendable {
    private let thread: EventLoopThread

    init() throws {
        thread = try EventLoopThread(index: 0) { loop in loop.setLocal(TrafficTable(loop)) }
    }

    func stop() { thread.stop() }

    private func ask<Answer: Sendable>(
        _ body: @escaping @Sendable (TrafficTable) -> Answer
    ) async -> Answer? {
        await withCheckedContinuation { continuation in
            let isPosted = thread.mailbox.post { loop in
                continuation.resume(returning: loop.local(TrafficTable.self).map(body))
            }
            if !isPosted { continuation.resume(returning: nil) }
        }
    }

    /// Starts a server; its endpoint as a ready pod.
    func serve(_ name: String, at address: IPAddress, port: UInt16 = 0) async throws
        -> LocalEndpoint
    {
        let result = await ask { table in
            Result<Endpoint, SystemError> { () throws(SystemError) in
                try table.serve(name, at: address, port: port)
            }
        }
        return LocalEndpoint(
            endpoint: try #require(result).get(),
            portName: nil,
            ready: true,
            serving: true,
            terminating: false
        )
    }

    /// Closes a server's listening socket and resets its connections.
    func kill(_ name: String) async { _ = await ask { $0.kill(name) } }

    /// Connections that a server has open.
    func open(at name: String) async -> Int { await ask { $0.open(at: name) } ?? 0 }

    /// Connects and waits for the server's name; the connection stays open.
    ///
    /// Nil when it ended before a name came.
    func connect(to endpoint: Endpoint, limit: Duration = .seconds(10)) async -> HeldClient? {
        await withCheckedContinuation { continuation in
            let isPosted = thread.mailbox.post { loop in
                guard let table = loop.local(TrafficTable.self) else {
                    return continuation.resume(returning: nil)
                }
                table.connect(to: endpoint, limit: limit) { continuation.resume(returning: $0) }
            }
            if !isPosted { continuation.resume(returning: nil) }
        }
    }

    func close(_ client: HeldClient) async { _ = await ask { $0.close(client.id) } }

    /// True while neither side has ended the connection.
    func isOpen(_ client: HeldClient) async -> Bool { await ask { $0.isOpen(client.id) } ?? false }
}

/// A connection that heard `name` and is held.
struct HeldClient: Sendable {
    let id: Int
    let name: String
}

/// The loop's side of `TestTraffic`.
private final class TrafficTable {
    private let loop: EventLoop
    private var listeners: [String: Listener] = [:]
    private var served: [String: [ObjectIdentifier: TrafficConnection]] = [:]
    private var clients: [Int: TrafficConnection] = [:]
    private var connectors: [Int: Connector] = [:]
    private var next = 0

    init(_ loop: EventLoop) { self.loop = loop }

    func serve(_ name: String, at address: IPAddress, port: UInt16) throws(SystemError) -> Endpoint
    {
        let listener = try Listener(address: address, port: port, purpose: .service, on: loop) {
            [unowned self] socket, _ in
            let connection = TrafficConnection(socket, on: loop)
            let id = ObjectIdentifier(connection)
            served[name, default: [:]][id] = connection
            connection.onEnd = { [unowned self] in served[name]?[id] = nil }
            connection.say(name + "\n")
        }
        listeners[name] = listener
        return listener.endpoint
    }

    func kill(_ name: String) {
        listeners.removeValue(forKey: name)?.close()
        for connection in (served.removeValue(forKey: name) ?? [:]).values { connection.end() }
    }

    func open(at name: String) -> Int { served[name]?.count ?? 0 }

    func connect(
        to endpoint: Endpoint,
        limit: Duration,
        _ completion: @escaping (HeldClient?) -> Void
    ) {
        next += 1
        let id = next
        var answer: ((HeldClient?) -> Void)? = completion
        let finish = { (client: HeldClient?) in
            answer?(client)
            answer = nil
        }
        let timer = loop.schedule(after: limit) { [unowned self] _ in
            close(id)
            finish(nil)
        }
        connectors[id] = Connector(to: endpoint, timeout: limit, on: loop) {
            [unowned self] result in
            connectors[id] = nil
            switch consume result {
            case .failure:
                loop.cancel(timer)
                finish(nil)
            case .success(let socket):
                let connection = TrafficConnection(socket, on: loop)
                clients[id] = connection
                connection.onLine = { [unowned self] name in
                    loop.cancel(timer)
                    finish(HeldClient(id: id, name: name))
                }
                connection.onEnd = { [unowned self] in
                    clients[id] = nil
                    loop.cancel(timer)
                    finish(nil)
                }
            }
        }
    }

    func close(_ id: Int) { clients.removeValue(forKey: id)?.finish() }

    func isOpen(_ id: Int) -> Bool { clients[id] != nil }
}

private final class TrafficConnection: EventHandler {
    private var socket: FileDescriptor?
    private var registration: RegistrationID?
    private let loop: EventLoop
    private var heard: [UInt8] = []
    var onLine: ((String) -> Void)?
    var onEnd: (() -> Void)?

    init(_ socket: consuming FileDescriptor, on loop: EventLoop) {
        self.loop = loop
        let number = socket.number
        self.socket = consume socket
        registration = try? loop.register(self, descriptor: number)
    }

    func say(_ text: String) {
        let bytes = Array(text.utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe socket?.write($0) }
    }

    /// Closes in an orderly way.
    func finish() {
        try? socket?.setAbortive(false)
        end()
    }

    func end() {
        if let registration { loop.deregister(registration) }
        registration = nil
        socket = nil
        let onEnd = onEnd
        self.onEnd = nil
        onLine = nil
        onEnd?()
    }

    func loopEnded() { socket = nil }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while socket != nil {
            let result = unsafe buffer.withUnsafeMutableBytes { unsafe socket?.read(into: $0) }
            switch result {
            case .bytes(let count)?:
                heard += buffer.prefix(count)
                if let end = heard.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: heard[..<end], as: UTF8.self)
                    heard = []
                    let onLine = onLine
                    self.onLine = nil
                    onLine?(line)
                }
            case .wouldBlock?, nil: return
            case .endOfFile?: finish()
            case .failed?: end()
            }
        }
    }
}
