import Balancing
import Glibc
import NetworkModel
import ProxyContract
import Wire

/// Connects to the servers that are left out, so that no client has to try them.
///
/// Confined to loop 0. A server that takes the connection and does not end it for a while, or says something, is used again.
final class ServerProber {
    private let loop: EventLoop
    private var timers: [ServicePort: TimerID] = [:]
    private var waiting: [Waiting] = []
    private var running = 0

    private struct Waiting {
        let entry: ServiceEntry
        let probe: EndpointBalancer.Probe
    }

    /// What this host spends on servers that are left out.
    private static let runningLimit = 32
    /// Servers that end connections at once do it within this time.
    private static let patience: Duration = .milliseconds(300)
    /// Between two looks at one service.
    private static let shortestWait: Duration = .milliseconds(20)

    init(loop: EventLoop) { self.loop = loop }

    /// Servers of this service came, went or failed.
    func look(at entry: ServiceEntry) {
        let service = entry.shared
        let key = service.service
        if let timer = timers.removeValue(forKey: key) { loop.cancel(timer) }
        let now = EventLoop.clock()
        for probe in service.takeProbes(at: now) {
            waiting.append(Waiting(entry: entry, probe: probe))
        }
        start()
        guard let next = service.nextProbe(at: now) else { return }
        timers[key] = loop.schedule(at: max(next, now + Self.shortestWait)) {
            [weak self] _ in
            self?.timers[key] = nil
            self?.look(at: entry)
        }
    }

    /// The service is gone.
    func forget(_ key: ServicePort) {
        if let timer = timers.removeValue(forKey: key) { loop.cancel(timer) }
    }

    private func start() {
        while running < Self.runningLimit, !waiting.isEmpty {
            let next = waiting.removeFirst()
            running += 1
            // A server that nothing is held against needs no more than to take the connection.
            ServerProbe(
                next.entry,
                next.probe.server,
                patience: next.probe.fault == .untried ? .zero : Self.patience,
                on: loop
            ) { [weak self] in
                guard let self else { return }
                running -= 1
                look(at: next.entry)
            }
        }
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
