import Balancing
import Glibc
import NetworkModel
import ProxyContract
import SiteControl
import Wire

/// Connects to the servers that are left out, when `ProbeDesk` says so.
///
/// Confined to loop 0. A server that takes the connection and does not end it for a while, or says something, is used again.
final class ServerProber {
    private let loop: EventLoop
    private var desk = ProbeDesk()
    private var entries: [ServicePort: ServiceEntry] = [:]
    private var timer: (id: TimerID, at: Instant)?

    init(loop: EventLoop) { self.loop = loop }

    /// Servers of this service came, went or failed.
    func look(at entry: ServiceEntry) {
        entries[entry.shared.service] = entry
        look(at: entry.shared.service, EventLoop.clock())
        arm()
    }

    /// The service is gone.
    func forget(_ key: ServicePort) {
        entries[key] = nil
        desk.forget(key)
        arm()
    }

    private func look(at key: ServicePort, _ now: Instant) {
        guard let entry = entries[key] else { return }
        let (probes, next) = entry.shared.takeProbes(at: now)
        carryOut(desk.looked(at: key, probes, next: next, at: now))
    }

    private func carryOut(_ orders: [ProbeDesk.Order]) {
        for order in orders {
            guard let entry = entries[order.service] else {
                preconditionFailure("\(order.service) was forgotten, and is probed")
            }
            ServerProbe(entry, order.server, patience: order.patience, on: loop) { [weak self] in
                self?.ended(order.service)
            }
        }
    }

    private func ended(_ key: ServicePort) {
        carryOut(desk.ended(key, at: EventLoop.clock()))
        lookAtDue()
    }

    private func lookAtDue() {
        let now = EventLoop.clock()
        for key in desk.due(at: now) { look(at: key, now) }
        arm()
    }

    private func arm() {
        let deadline = desk.nextDeadline
        guard deadline != timer?.at else { return }
        if let timer { loop.cancel(timer.id) }
        timer = nil
        guard let deadline else { return }
        let id = loop.schedule(at: deadline) { [weak self] _ in
            self?.timer = nil
            self?.lookAtDue()
        }
        timer = (id, deadline)
    }
}

/// One connection to a server that is left out; reports what became of it, once.
private final class ServerProbe: EventHandler {
    private let entry: ServiceEntry
    private var probe: ServerPick
    private let loop: EventLoop
    private var connector: Connector?
    private var socket: FileDescriptor?
    private var registration: RegistrationID?
    private var timer: TimerID?
    private var done: (() -> Void)?

    /// The loop keeps it alive until it is done.
    @discardableResult
    init(
        _ entry: ServiceEntry,
        _ probe: ServerPick,
        patience: Duration,
        on loop: EventLoop,
        done: @escaping () -> Void
    ) {
        self.entry = entry
        self.probe = probe
        self.loop = loop
        self.done = done
        let connector = Connector(
            to: probe.endpoint,
            timeout: entry.timeouts.connect,
            keepsWatching: true,
            on: loop
        ) { [self] result in connected(result, patience) }
        self.connector = connector
        entry.shared.connecting(&self.probe, from: connector.ownEnd)
    }

    private func connected(
        _ result: consuming Result<FileDescriptor, SystemError>,
        _ patience: Duration
    ) {
        let watch = connector.take()?.takeWatch()
        switch consume result {
        case .success(let socket):
            // Nobody is a client here; a server that waits for a header would take the end of this for a fault.
            if entry.introducesClients {
                let header = ProxyHeader.local
                _ = unsafe socket.write(header.span.bytes)
            }
            self.socket = consume socket
            guard let watch else { return end(.untried, isShort: true) }
            registration = watch.registration
            loop.handOver(watch.registration, to: self)
            timer = loop.schedule(after: patience) { [self] _ in
                timer = nil
                end(nil)
            }
            handle(watch.ready, on: loop)
        case .failure(let error) where Shortage(error) != nil: end(.untried, isShort: true)
        case .failure(let error): end(error.code == ETIMEDOUT ? .unanswered : .refused)
        }
    }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        guard !events.isDisjoint(with: [.readable, .readsToEnd, .failed]) else { return }
        var byte: [UInt8] = [0]
        let result = unsafe byte.withUnsafeMutableBytes { unsafe socket?.read(into: $0) }
        switch result {
        case .bytes?: end(nil)
        case .wouldBlock?, nil: break
        case .endOfFile?, .failed?: end(.closedAtOnce)
        }
    }

    func loopEnded() { done = nil }

    private func end(_ fault: ServerFault?, isShort: Bool = false) {
        guard let done = done.take() else { return }
        if let timer { loop.cancel(timer) }
        if let registration { loop.deregister(registration, closing: true) }
        (timer, registration) = (nil, nil)
        // Like a client that has nothing to say; nothing speaks against an orderly end.
        if fault == nil { try? socket?.setAbortive(false) }
        socket = nil
        if isShort {
            entry.shared.probeAbandoned(probe)
        } else {
            entry.shared.probed(probe, fault, at: EventLoop.clock())
        }
        done()
    }
}
