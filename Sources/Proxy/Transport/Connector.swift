import Glibc
package import NetworkModel

/// One TCP connection attempt of a loop.
package final class Connector: EventHandler {
    /// The connected non-blocking socket with the options of a relayed socket, or why there is none.
    package typealias Completion = (consuming Result<FileDescriptor, SystemError>) -> Void

    private let loop: EventLoop
    private var socket: FileDescriptor?
    private var registration: RegistrationID?
    private var timer: TimerID?
    private var completion: Completion?

    /// Connects to `endpoint`; `completion` is called once, never from within this call, unless `cancel()` comes first.
    ///
    /// The loop keeps the connector alive until then.
    package init(
        to endpoint: Endpoint,
        timeout: Duration,
        on loop: EventLoop,
        completion: @escaping Completion
    ) {
        self.loop = loop
        self.completion = completion
        do throws(SystemError) {
            let socket = try FileDescriptor.connecting(to: endpoint)
            let number = socket.number
            self.socket = consume socket
            registration = try loop.register(self, descriptor: number, trigger: .edge)
            timer = loop.schedule(after: timeout) { [self] _ in
                timer = nil
                finish(.failure(SystemError("connect", code: ETIMEDOUT)))
            }
        } catch {
            // Refused at once (no route, no descriptors): told in the next turn, as every other result.
            timer = loop.schedule(after: .zero) { [self] _ in
                timer = nil
                finish(.failure(error))
            }
        }
    }

    /// Gives the attempt up; nothing is called any more.
    package func cancel() {
        completion = nil
        release()
        socket = nil
    }

    package func loopEnded() { cancel() }

    package func handle(_ events: ReadyEvents, on loop: EventLoop) {
        guard !events.isDisjoint(with: [.writable, .failed]), socket != nil else { return }
        // A socket that has only been made reports EPOLLHUP before it connects: ask whether it did.
        if let error = socket?.takeError("connect") { return finish(.failure(error)) }
        guard socket?.remoteEndpoint != nil else { return }
        release()
        guard let connected = socket.take() else { return }
        finish(.success(connected))
    }

    private func finish(_ result: consuming Result<FileDescriptor, SystemError>) {
        release()
        socket = nil
        let completion = completion
        self.completion = nil
        completion?(result)
    }

    private func release() {
        if let registration { loop.deregister(registration) }
        if let timer { loop.cancel(timer) }
        registration = nil
        timer = nil
    }
}
