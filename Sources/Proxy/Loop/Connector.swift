import Glibc
import NetworkModel

/// One TCP connection attempt of a loop.
final class Connector: EventHandler {
    /// The connected non-blocking socket with SO_LINGER {1, 0}, or why there is none; its other options are for the caller.
    typealias Completion = (consuming Result<FileDescriptor, SystemError>) -> Void

    private let loop: EventLoop
    private let port: UInt16
    private var socket: FileDescriptor?
    private var registration: RegistrationID?
    private var timer: TimerID?
    private var completion: Completion?
    private let keepsWatching: Bool
    private var ready: ReadyEvents = []

    /// A connected socket that its loop watches already, and what is known of it.
    struct Watch {
        let registration: RegistrationID
        let ready: ReadyEvents
    }

    /// Connects to `endpoint`; `completion` is called once, never from within this call, unless `cancel()` comes first.
    ///
    /// The loop keeps the connector alive until then. With `keepsWatching`, `completion` calls `takeWatch()`. It is told of
    /// the socket on `account`.
    init(
        to endpoint: Endpoint,
        timeout: Duration,
        keepsWatching: Bool = false,
        on loop: EventLoop,
        account: AccountNumber? = nil,
        completion: @escaping Completion
    ) {
        self.loop = loop
        port = endpoint.port
        self.keepsWatching = keepsWatching
        self.completion = completion
        do throws(SystemError) {
            let socket = try FileDescriptor.connecting(to: endpoint)
            let number = socket.number
            self.socket = consume socket
            registration = try loop.register(self, descriptor: number, on: account)
            timer = loop.schedule(after: timeout) { [self] _ in
                timer = nil
                fail(SystemError("connect", code: ETIMEDOUT))
            }
        } catch {
            // Refused at once (no route, no descriptors): told in the next turn, as every other result.
            timer = loop.schedule(after: .zero) { [self] _ in
                timer = nil
                fail(error)
            }
        }
    }

    /// Its own end, for a connection that may come back; nil where nothing of this process listens at such a port.
    var ownEnd: Endpoint? { OwnPorts.contains(port) ? socket?.localEndpoint : nil }

    /// Gives the attempt up; nothing is called any more.
    func cancel() {
        completion = nil
        unwatch(closing: true)
        cancelTimer()
        socket = nil
    }

    /// The registration of the connected socket, for the caller to hand over or to end.
    func takeWatch() -> Watch? {
        registration.take().map { Watch(registration: $0, ready: ready) }
    }

    func loopEnded() { cancel() }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        guard !events.isDisjoint(with: [.writable, .failed]), socket != nil else { return }
        // Only what has failed has an error to ask for: one that is on its way reports nothing.
        if events.contains(.failed) {
            if let error = socket?.takeError("connect") { return fail(error) }
            guard socket?.remoteEndpoint != nil else { return }
        }
        ready = events
        cancelTimer()
        if !keepsWatching { unwatch(closing: false) }
        guard let connected = socket.take() else { return }
        completion.take()?(.success(connected))
    }

    private func fail(_ error: SystemError) {
        unwatch(closing: true)
        cancelTimer()
        socket = nil
        completion.take()?(.failure(error))
    }

    private func unwatch(closing: Bool) {
        if let registration { loop.deregister(registration, closing: closing) }
        registration = nil
    }

    private func cancelTimer() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }
}
