import FoundationEssentials
import NetworkModel
import Proxy
import ProxyContract
import Synchronization
import Telemetry

/// What the admin endpoint tells of the process: readiness, metrics, snapshot.
///
/// It serves from the first moment on; the data plane comes later.
final class Admin: Sendable {
    private struct State {
        var dataPlane: (any DataPlane)?
        var snapshotKey: @Sendable () -> String = { "" }
        var certificates: @Sendable () -> CertificateEnds? = { nil }
        var isDraining = false
        var waitingFor = "starting"
    }

    /// How many long polls may wait at the same time.
    static let waiterLimit = 32
    /// The longest that a poll waits.
    static let longestWait = Duration.seconds(55)

    private let state = Mutex(State())
    private let waiters = Waiters(limit: Admin.waiterLimit)

    /// Puts the data plane in place; from now on it decides over readiness.
    func attach(
        _ dataPlane: any DataPlane,
        snapshotKey: @escaping @Sendable () -> String,
        certificates: @escaping @Sendable () -> CertificateEnds?
    ) {
        state.withLock { state in
            state.dataPlane = dataPlane
            state.snapshotKey = snapshotKey
            state.certificates = certificates
        }
    }

    /// Says what keeps the process from being ready before there is a data plane.
    func wait(for reason: String) { state.withLock { $0.waitingFor = reason } }

    func beginDrain() { state.withLock { $0.isDraining = true } }

    var readiness: AdminServer.Readiness {
        state.withLock { state in
            if state.isDraining { return .notReady("draining") }
            guard let dataPlane = state.dataPlane else { return .notReady(state.waitingFor) }
            return dataPlane.isReady ? .ready : .notReady("not configured or not attached yet")
        }
    }

    /// A loop that has not turned for so long is not healthy.
    static let longestTurn = Duration.seconds(5)

    /// Whether the process should live on: every loop turns.
    var health: AdminServer.Readiness {
        let dataPlane = state.withLock { $0.dataPlane }
        return dataPlane?.stall(beyond: Self.longestTurn).map { .notReady($0) } ?? .ready
    }

    /// The endpoint with all its routes.
    func makeServer(at endpoint: Endpoint, log: ProcessLog? = nil) -> AdminServer {
        let registry = MetricsRegistry()
        registry.addProcessMetrics()
        if let log { registry.addLogMetrics(log) }
        registry.addCollector { [self] writer in
            let (dataPlane, ends) = state.withLock { ($0.dataPlane, $0.certificates) }
            guard let dataPlane else { return }
            let snapshot = dataPlane.snapshot
            writer.add(snapshot, isReady: dataPlane.isReady, certificates: ends())
            writer.add(dataPlane.meters, names: snapshot.siteNames)
            writer.gauge(
                "tieline_streams_active",
                help: "Connections and streams that are open: as ingress, egress and transit.",
                value: Double(dataPlane.openStreams)
            )
            writer.add(dataPlane.neighborUsage)
        }
        let server = AdminServer(
            host: "\(endpoint.address)",
            port: endpoint.port,
            registry: registry,
            readiness: { [self] in readiness },
            health: { [self] in health }
        )
        server.addRoute("/metrics") { [self] _ in
            // Exact: what the loops have counted up to this request.
            await state.withLock({ $0.dataPlane })?.refresh()
            return .metrics(registry)
        }
        server.addRoute("/v1/snapshot") { [self] request in await snapshot(request) }
        server.addRoute("/v1/explain") { [self] request in explain(request) }
        server.addRoute("/v1/trace") { [self] request in await trace(request) }
        server.addRoute("/v1/network") { [self] _ in await networkMap() }
        return server
    }

    /// `GET /v1/explain?service=ADDRESS` or `ADDRESS/PORT`: a list, of all ports of the address or of the one.
    ///
    /// It tells no more than `/metrics` and the routes, and needs no key: who may is told by the network, or by the rights to
    /// reach a Pod through the API server.
    func explain(_ request: AdminRequest) -> AdminResponse {
        guard let dataPlane = state.withLock({ $0.dataPlane }) else {
            return .text("starting\n", status: 503)
        }
        let name = request.query["service"] ?? ""
        let ports = dataPlane.servicePorts.filter {
            name == $0.address.text || name == $0.description
        }
        let found = ports.compactMap { dataPlane.explain($0, at: .now()) }
        guard !found.isEmpty else { return Self.unknown(name, dataPlane.servicePorts) }
        return Self.answer(ServiceExplanations(items: found))
    }

    /// `GET /v1/trace?service=ADDRESS/PORT`, with `&site=SITEID` to one site; as `explain`, without a key.
    ///
    /// It opens a connection to a server, as anybody can who reaches a listener of this proxy; one at a time.
    func trace(_ request: AdminRequest) async -> AdminResponse {
        guard let dataPlane = state.withLock({ $0.dataPlane }) else {
            return .text("starting\n", status: 503)
        }
        let name = request.query["service"] ?? ""
        let ports = dataPlane.servicePorts.filter {
            name == $0.address.text || name == $0.description
        }
        guard let service = ports.first else {
            return Self.unknown(name, dataPlane.servicePorts)
        }
        guard ports.count == 1 else {
            let choice = ports.map(\.description).joined(separator: ", ")
            return .text("\(name) has several ports: choose one of \(choice)\n", status: 400)
        }
        let site = request.query["site"].map { SiteID($0) }
        if case .some(nil) = site {
            return .text("site is a SiteID of 26 characters\n", status: 400)
        }
        do throws(TraceRefusal) {
            return Self.answer(try await dataPlane.trace(service, to: site ?? nil, at: .now()))
        } catch {
            return .text("\(error)\n", status: error.status)
        }
    }

    /// `GET /v1/network`: what a gateway knows of the network; as `explain`, without a key.
    func networkMap() async -> AdminResponse {
        guard let dataPlane = state.withLock({ $0.dataPlane }) else {
            return .text("starting\n", status: 503)
        }
        guard let map = await dataPlane.networkMap(at: .now()) else {
            return .text("a sidecar does not know the network: ask a gateway\n", status: 404)
        }
        return Self.answer(map)
    }

    /// `GET /v1/snapshot?after=VERSION&wait=30s`; with `&instance=PROXY-ID`, of which VERSION is one, the answer may be the
    /// difference to it (`SnapshotUpdate`).
    func snapshot(_ request: AdminRequest) async -> AdminResponse {
        let (dataPlane, key) = state.withLock { ($0.dataPlane, $0.snapshotKey) }
        guard constantTimeEquals(request.bearerKey ?? "", key()) else {
            return .text("the bearer key of the site's configuration is needed\n", status: 401)
        }
        guard let dataPlane else { return .text("starting\n", status: 503) }
        guard let after = request.query["after"] else { return Self.answer(dataPlane.snapshot) }
        let wait = request.query["wait"] ?? "0s"
        guard let version = UInt64(after), let limit = Self.duration(wait) else {
            return .text("after is a number, wait such as 30s\n", status: 400)
        }
        let longest = min(limit, Self.longestWait)
        let answer: AdminResponse?
        if let instance = request.query["instance"].flatMap({ ProxyID($0) }) {
            answer = await waiters.wait {
                await Self.answer(dataPlane.update(after: version, of: instance, limit: longest))
            }
        } else {
            answer = await waiters.wait {
                await Self.answer(dataPlane.snapshot(after: version, limit: longest))
            }
        }
        return answer ?? .text("too many are waiting\n", status: 429)
    }

    /// With the first ones of those that it knows: a name is easily misspelled, and a sidecar knows its own alone.
    private static func unknown(_ name: String, _ known: [ServicePort]) -> AdminResponse {
        let names = known.map(\.description).sorted()
        let rest = names.count > 8 ? " and \(names.count - 8) more" : ""
        let list = names.isEmpty ? "none" : names.prefix(8).joined(separator: ", ") + rest
        return .text(
            "this proxy knows no service \"\(name)\"; it knows \(list)\n",
            status: 404
        )
    }

    private static func answer(_ snapshot: some Encodable) -> AdminResponse {
        do {
            return .json(try JSONEncoder().encode(snapshot))
        } catch {
            return .text("the snapshot does not encode: \(error)\n", status: 500)
        }
    }

    /// Whole seconds (`30s`) or milliseconds (`250ms`).
    private static func duration(_ text: String) -> Duration? {
        if text.hasSuffix("ms") { return Int64(text.dropLast(2)).map { .milliseconds(max($0, 0)) } }
        guard text.hasSuffix("s") else { return nil }
        return Int64(text.dropLast()).map { .seconds(min(max($0, 0), 3600)) }
    }
}

extension TraceRefusal {
    /// Of the answer.
    fileprivate var status: Int {
        switch self {
        case .unknownService, .unknownSite: 404
        case .busy: 429
        case .noTarget, .noWay, .silent: 503
        }
    }
}
