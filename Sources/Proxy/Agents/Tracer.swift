import Balancing
import NetworkModel
import ProxyContract
import Streaming
import Wire

/// Measures the way to one site that serves a service: all proxies on it at the same time, and a stream to a server.
///
/// A proxy on the way is asked for a stream to a site that it is not of, which it has to refuse: the word of every version, and
/// no server hears of it. Confined to its loop until it is done.
final class Tracer {
    private static let patience: Duration = .seconds(2)

    private let engine: StreamEngine
    private let service: ServicePort
    private let route: [ProxyID]
    private let target: SiteID
    private var hops: [ServiceTrace.Answer?]
    private var stream: ServiceTrace.Answer?
    private var connector: LocalConnector?
    private var done: ((Result) -> Void)?

    struct Result: Sendable {
        var hops: [ServiceTrace.Answer]
        var stream: ServiceTrace.Answer
    }

    /// Calls `done` once; an empty route leads to a server of this site.
    init(
        _ engine: StreamEngine,
        _ service: ServicePort,
        over route: [ProxyID],
        to target: SiteID,
        done: @escaping (Result) -> Void
    ) {
        self.engine = engine
        self.service = service
        self.route = route
        self.target = target
        self.done = done
        hops = Array(repeating: nil, count: route.count)
    }

    func start() {
        for index in route.indices { ask(index) }
        if route.isEmpty { connect() } else { open() }
    }

    private func ask(_ index: Int) {
        let hop = route[index]
        let elsewhere = hop.site == engine.view.proxy.site ? target : engine.view.proxy.site
        StreamProbe(
            service,
            over: Array(route[...index]),
            target: elsewhere,
            patience: Self.patience,
            engine: engine
        ) { [self] outcome, time in
            hops[index] = ServiceTrace.Answer(outcome, of: hop, after: time)
            finish()
        }
    }

    private var connectTimeout: Duration {
        (engine.view.services[service]?.timeouts ?? .standard).connect
    }

    private func open() {
        StreamProbe(
            service,
            over: route,
            target: target,
            patience: Self.patience + connectTimeout,
            engine: engine
        ) { [self] outcome, time in
            stream = ServiceTrace.Answer(outcome, of: nil, after: time)
            finish()
        }
    }

    private func connect() {
        guard let entry = engine.view.services[service] else {
            stream = .init(isGood: false, reason: "NoService", microseconds: nil)
            return finish()
        }
        let (began, shared) = (EventLoop.clock(), entry.shared)
        let introduced = Endpoint(address: .v4(0x7F00_0001), port: 0)
        connector = LocalConnector(
            shared,
            introducing: entry.introducesClients ? introduced : nil,
            timeout: entry.timeouts.connect,
            on: engine.loop,
            connected: { [self] socket, watch, server in
                let time = EventLoop.clock() - began
                engine.loop.deregister(watch.registration, closing: true)
                // Like a client that has nothing to say.
                try? socket.setAbortive(false)
                _ = consume socket
                shared.serverReleased(server)
                stream = ServiceTrace.Answer(.opened, of: nil, after: time)
                finish()
            },
            failed: { [self] reason in
                let time = EventLoop.clock() - began
                let outcome = StreamProbe.Outcome.refused(reason, by: engine.view.proxy)
                stream = ServiceTrace.Answer(outcome, of: nil, after: time)
                finish()
            }
        )
    }

    private func finish() {
        let answers = hops.compactMap(\.self)
        connector = nil
        guard let stream, answers.count == hops.count, let done = done.take() else { return }
        done(Result(hops: answers, stream: stream))
    }
}

extension ServiceTrace.Answer {
    /// `hop`: the proxy whose refusal is the answer that was asked for; nil: a stream was.
    init(_ outcome: StreamProbe.Outcome, of hop: ProxyID?, after time: Duration) {
        let (isGood, reason) = Self.words(outcome, hop)
        let hasAnswer =
            switch outcome {
            case .opened, .refused, .reset: true
            case .pathLost, .silent, .notSent: false
            }
        self.init(
            isGood: isGood,
            reason: reason,
            microseconds: hasAnswer ? time.wholeNanoseconds / 1_000 : nil
        )
    }

    private static func words(
        _ outcome: StreamProbe.Outcome,
        _ hop: ProxyID?
    ) -> (isGood: Bool, reason: String) {
        switch outcome {
        case .opened: (hop == nil, "Opened")
        case .refused(let reason, let proxy) where proxy == hop && reason != .noRoute:
            (true, "Answered")
        case .refused(let reason, let proxy): (false, "\(reason.name), says \(proxy)")
        case .reset(let reason): (false, "reset: \(reason)")
        case .pathLost: (false, "the lane was lost")
        case .silent: (false, "no answer")
        case .notSent: (false, "no lane leads there")
        }
    }
}

extension Refused.Reason {
    /// `NoRoute`.
    fileprivate var name: String {
        let name = "\(self)"
        return name.prefix(1).uppercased() + name.dropFirst()
    }
}
