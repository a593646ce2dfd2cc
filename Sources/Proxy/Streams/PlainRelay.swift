import Glibc
import NetworkModel

/// Copies bytes between a client's and a server's socket of one loop until both directions have ended.
///
/// FIN, RST and half-close pass through as they are. Both sockets keep SO_LINGER {1, 0} until both FINs have passed.
/// The loop keeps the relay alive until it ends.
final class PlainRelay {
    enum End: Hashable, Sendable {
        /// Both FINs have passed.
        case finished
        case client(SystemError)
        case server(SystemError)
        case idle
        case halfClosed
        /// `abort()` was called.
        case aborted
    }

    typealias Completion = (PlainRelay, End) -> Void

    /// A client that can be given to another server.
    struct Reclaimed: ~Copyable {
        var socket: FileDescriptor
        /// What was read from the client and went nowhere; it has to be sent first.
        let unsent: [UInt8]
    }

    /// Bytes moved in one turn and direction before other sockets have their turn.
    static let budget = 128 * 1024

    private let loop: EventLoop
    private let timeouts: ServiceTimeouts
    private let client: RelaySocket
    private let server: RelaySocket
    private var toServer: RelayDirection
    private var toClient = RelayDirection()
    private var lastMoved: Instant
    /// The turn in which a budget was used up last.
    private var spentAt: Instant?
    private var timer = DeadlineTimer()
    /// Until when a server that ends the connection before any byte has failed.
    private let judgesEndsUntil: Instant
    /// Called with the first byte in either direction, then nil.
    private var firstByte: (() -> Void)?
    /// Called with the first byte of the server, then nil.
    private var firstAnswer: (() -> Void)?
    /// `abort()` was called: nothing moves any more.
    private var isAborted = false
    /// Nil when the relay has ended.
    private var completion: Completion?

    /// Takes over two connected sockets; `serverWatch` is the registration of the server's, if there is one.
    ///
    /// `unsent` goes to the server before what the client sends. A server whose FIN comes within `judgesEndsFor`, before any
    /// byte in either direction and with the client still there, has failed. `firstByte` and `firstAnswer` are called at most once.
    /// `completion` comes once, never from within a call.
    init(
        client: consuming FileDescriptor,
        server: consuming FileDescriptor,
        serverWatch: Connector.Watch? = nil,
        unsent: [UInt8] = [],
        timeouts: ServiceTimeouts,
        judgesEndsFor limit: Duration = .zero,
        on loop: EventLoop,
        firstByte: (() -> Void)? = nil,
        firstAnswer: (() -> Void)? = nil,
        completion: @escaping Completion
    ) {
        judgesEndsUntil = loop.now + limit
        self.firstByte = firstByte
        self.firstAnswer = firstAnswer
        self.loop = loop
        self.timeouts = timeouts
        self.completion = completion
        self.client = RelaySocket(client, on: loop)
        self.server = RelaySocket(server, serverWatch, on: loop)
        toServer = RelayDirection(unsent: unsent)
        loop.buffers.keptCount += unsent.count
        lastMoved = loop.now
        do throws(SystemError) {
            try self.client.register(for: self)
            try self.server.register(for: self)
            if !unsent.isEmpty { moveLater() }
            arm()
        } catch {
            loop.schedule(after: .zero) { [self] _ in end(.client(error)) }
        }
    }

    /// Bytes that the client sent and that were written to the server.
    var bytesToServer: UInt64 { toServer.bytes }
    var bytesToClient: UInt64 { toClient.bytes }

    /// Ends the relay when one of its sides owes an acknowledgment and has been silent for `limit`; looks after the timer of a
    /// deadline that has come near.
    func endIfSilent(for limit: Duration) {
        arm()
        let error = SystemError("relay", code: ETIMEDOUT)
        if client.isSilent(for: limit) {
            end(.client(error))
        } else if server.isSilent(for: limit) {
            end(.server(error))
        }
    }

    /// Resets both sides; `completion` is told `.aborted` in a later call.
    func abort() {
        guard completion != nil, !isAborted else { return }
        isAborted = true
        timer.cancel(on: loop)
        loop.schedule(after: .zero) { [self] _ in end(.aborted) }
    }

    /// The client, to be given to another server; nil when its socket has to be closed.
    ///
    /// Valid within `completion` only: there if neither a byte nor a FIN was passed on in either direction.
    func reclaimClient() -> Reclaimed? {
        guard toServer.isUntouched, toClient.isUntouched, let socket = client.take() else {
            return nil
        }
        return Reclaimed(socket: socket, unsent: toServer.rest)
    }

    /// Some direction moves much.
    var isBulky: Bool { toServer.isBulky || toClient.isBulky }

    /// Has `move` called behind others, once.
    func moveLater() { client.resume() }

    /// Called when either socket has something new, or a budget was used up.
    func move() {
        guard completion != nil, !isAborted else { return }
        guard spentAt != loop.now else { return moveLater() }
        let (bytes, ends) = (toServer.bytes &+ toClient.bytes, endCount)
        toServer.isLast = toClient.isShut
        let up = toServer.move(
            from: client,
            to: server,
            through: loop.buffers,
            budget: Self.budget,
            at: loop.now
        )
        if let end = failure(up, source: End.client, target: End.server) { return self.end(end) }
        toClient.holdsEarlyEnd = toServer.isUntouched && loop.now < judgesEndsUntil
        toClient.isLast = toServer.isShut
        let down = toClient.move(
            from: server,
            to: client,
            through: loop.buffers,
            budget: Self.budget,
            at: loop.now
        )
        if let end = failure(down, source: End.server, target: End.client) { return self.end(end) }
        if toServer.isShut, toClient.isShut { return end(.finished) }
        if let end = hiddenFailure { return self.end(end) }
        if up.isMore || down.isMore {
            spentAt = loop.now
            moveLater()
        }
        if toServer.bytes &+ toClient.bytes != bytes {
            lastMoved = loop.now
            firstByte.take()?()
            if toClient.bytes > 0 { firstAnswer.take()?() }
        }
        if endCount != ends { arm() }
    }

    private var endCount: Int { (toServer.isEnded ? 1 : 0) + (toClient.isEnded ? 1 : 0) }

    private func failure(
        _ outcome: RelayDirection.Outcome,
        source: (SystemError) -> End,
        target: (SystemError) -> End
    ) -> End? {
        switch outcome {
        case .waiting, .more: nil
        case .sourceFailed(let error): source(error)
        case .endedEarly: source(SystemError("read", code: ECONNRESET))
        case .targetFailed(let error): target(error)
        }
    }

    /// The failure of a socket that is not read because the other one takes nothing, or because its FIN was read.
    private var hiddenFailure: End? {
        if client.isSuspect, toServer.keptCount > 0 || toServer.isEnded,
            let error = client.takeError()
        {
            return .client(error)
        }
        if server.isSuspect, toClient.keptCount > 0 || toClient.isEnded,
            let error = server.takeError()
        {
            return .server(error)
        }
        return nil
    }

    private var limit: (timeout: Duration, end: End) {
        endCount == 0 ? (timeouts.idle, .idle) : (timeouts.halfClosed, .halfClosed)
    }

    /// To be set anew when it fires, a direction ends, or somebody looks at the relay: bytes only note the time.
    private func arm() {
        let timeout = limit.timeout
        timer.follow(timeout > .zero ? lastMoved + timeout : nil, on: loop) { [self] _ in
            expire()
        }
    }

    private func expire() {
        timer.clear()
        guard completion != nil else { return }
        let (timeout, end) = limit
        loop.now - lastMoved >= timeout ? self.end(end) : arm()
    }

    private func end(_ end: End) {
        guard let completion else { return }
        self.completion = nil
        firstByte = nil
        firstAnswer = nil
        timer.cancel(on: loop)
        completion(self, end)
        toServer.discard(loop.buffers)
        toClient.discard(loop.buffers)
        client.close(isFinished: end == .finished)
        server.close(isFinished: end == .finished)
    }
}
