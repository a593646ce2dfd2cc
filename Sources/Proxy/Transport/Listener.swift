package import NetworkModel

/// A listening socket of one loop (SO_REUSEPORT: every loop has its own).
///
/// When descriptors run short it pauses instead of spinning, and service listeners leave a reserve for lanes.
package final class Listener: EventHandler {
    package enum Purpose: Sendable {
        /// Clients of services: stops accepting while fewer than the reserve of descriptors are free.
        case service
        /// Lanes: may use the reserve.
        case lane
    }

    package typealias Accept = (consuming FileDescriptor, Endpoint) -> Void

    /// The bound address, with the port that was given or chosen.
    package let endpoint: Endpoint

    /// Listens at `port` (0: any) of `address` (nil: all addresses, IPv6 and IPv4) until `close()`.
    ///
    /// Accepted sockets are non-blocking and have the options of a relayed socket, SO_LINGER {1, 0} included.
    package init(
        address: IPAddress?,
        port: UInt16,
        purpose: Purpose,
        on loop: EventLoop,
        accept: @escaping Accept
    ) throws(SystemError) {
        preconditionFailure("in the next commit")
    }

    /// Stops listening: clients get a RST from now on. Connections that wait in the backlog are reset.
    package func close() {}

    package func handle(_ events: ReadyEvents, on loop: EventLoop) {}
}
