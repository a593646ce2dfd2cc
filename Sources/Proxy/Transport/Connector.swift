package import NetworkModel

/// One TCP connection attempt of a loop.
package final class Connector: EventHandler {
    /// The connected non-blocking socket with the options of a relayed socket, or why there is none.
    package typealias Completion = (consuming Result<FileDescriptor, SystemError>) -> Void

    /// Connects to `endpoint`; `completion` is called once, never from within this call, unless `cancel()` comes first.
    package init(
        to endpoint: Endpoint,
        timeout: Duration,
        on loop: EventLoop,
        completion: @escaping Completion
    ) {}

    package func cancel() {}

    package func handle(_ events: ReadyEvents, on loop: EventLoop) {}
}
