import NetworkModel

/// A listening socket of one loop (SO_REUSEPORT: every loop has its own; another process cannot share the port).
///
/// When descriptors run short it pauses instead of spinning, and service listeners leave a reserve for lanes.
final class Listener: EventHandler {
    enum Purpose: Sendable {
        /// Clients of services: stops accepting while fewer than the reserve of descriptors are free.
        case service
        /// Lanes: may use the reserve.
        case lane
    }

    typealias Accept = (consuming FileDescriptor, Endpoint) -> Void

    /// The bound address, with the port that was given or chosen.
    let endpoint: Endpoint

    private static let acceptsPerTurn = 64
    /// The longest backlog of a host as it comes.
    private static let acceptsAtEnd = 4_096
    private static let pause = Duration.milliseconds(50)

    private let purpose: Purpose
    private let loop: EventLoop
    private var accept: Accept?
    private var socket: FileDescriptor?
    private var place: OwnPorts.Place?
    private var registration: RegistrationID?
    private var timer: TimerID?
    /// Of the connection that was accepted last.
    private var remote = SocketAddress()

    /// Listens at `port` (0: any) of `address` (nil: all addresses, IPv6 and IPv4) until `close()`.
    ///
    /// Accepted sockets are non-blocking and have the options of a relayed socket, SO_LINGER {1, 0} included. The
    /// loop keeps the listener alive until `close()`.
    init(
        address: IPAddress?,
        port: UInt16,
        purpose: Purpose,
        on loop: EventLoop,
        accept: @escaping Accept
    ) throws(SystemError) {
        var place = OwnPorts.Place(address: address, port: port)
        let socket = try OwnPorts.listen(at: place, place: &place)
        guard let endpoint = socket.localEndpoint else {
            OwnPorts.release(place)
            throw .last("getsockname")
        }
        self.place = place
        self.endpoint = endpoint
        self.purpose = purpose
        self.loop = loop
        self.accept = accept
        let number = socket.number
        self.socket = consume socket
        do throws(SystemError) {
            registration = try loop.register(self, descriptor: number, trigger: .level)
        } catch {
            end()
            throw error
        }
    }

    /// Stops listening: clients get a RST from now on.
    ///
    /// Clients that wait in the backlog are accepted before: to them the connection is up, and the kernel would reset it,
    /// also where another loop's socket listens.
    func close() {
        if purpose == .service { acceptWaiting(atMost: Self.acceptsAtEnd) }
        end()
    }

    private func end() {
        if let registration { loop.deregister(registration) }
        if let timer { loop.cancel(timer) }
        registration = nil
        timer = nil
        socket = nil
        if let place { OwnPorts.release(place) }
        place = nil
        accept = nil
    }

    func loopEnded() { end() }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        // Level-triggered: what is left after the budget is reported again in the next turn.
        acceptWaiting(atMost: Self.acceptsPerTurn)
    }

    private func acceptWaiting(atMost count: Int) {
        for _ in 0..<count {
            guard purpose == .lane || DescriptorBudget.hasRoomForClient else {
                return rest(for: .descriptors)
            }
            do throws(SystemError) {
                guard let client = try socket?.accept(&remote) else { return }
                hand(client)
            } catch {
                // Else the connection was gone before it was accepted, or the network reports its error here.
                if let shortage = Shortage(error) { return rest(for: shortage) }
            }
        }
    }

    private func hand(_ client: consuming FileDescriptor) {
        guard let accept, let remote = remote.endpoint else { return }
        accept(client, remote)
    }

    private func rest(for shortage: Shortage) {
        guard let registration, timer == nil else { return }
        Shortages.notePause(shortage, for: Self.pause, at: loop.now)
        loop.setReporting(false, registration)
        timer = loop.schedule(after: Self.pause) { [weak self] loop in
            self?.timer = nil
            loop.setReporting(true, registration)
        }
    }
}
