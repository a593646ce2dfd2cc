import Balancing
import Logging
import NetworkModel
import Routing
import SiteConfiguration
import TLS
import Wire

/// The control plane of one proxy: adjacencies, routing, services, counts, edges, snapshot.
///
/// Confined to loop 0.
///
/// It decides; the loops' agents carry out. What loops need for streams they get as an immutable `DataPlaneView`.
final class ControlPlane {
    let core: ProxyCore
    let loop: EventLoop
    let resolver = Resolver()
    var random = SystemRandomNumberGenerator()
    var adjacencies = AdjacencyTable()
    var document: ConfigurationDocument?
    var links: [LinkName: LinkDialer] = [:]
    var inside: InsideDialer?
    /// Lanes that this proxy dialled, until they end.
    var dials: [LaneID: DialOwner] = [:]
    /// Lanes that were let in and have not yet said that they are in place.
    var admitted: [LaneID: (candidate: LaneCandidate, loop: Int)] = [:]
    var refused: [RefusedLink] = []
    var listenErrors: [ClientListener: String] = [:]
    var failovers: [FailoverRecord] = []
    var failoverSequence: UInt64 = 0
    var configurationError: String?
    var appliedCount: UInt64 = 0
    var isDraining = false
    var hasStoppedListening = false
    /// Loops on which the internal port is bound.
    var boundLoops: Set<Int> = []
    var isSnapshotScheduled = false
    /// Round trips as last shown, so that jitter makes no new snapshots.
    var shownRoundTrips: [LinkName: UInt64] = [:]
    let snapshots: SnapshotStore
    /// The links of the first configuration have been tried.
    var hasSettled = false
    private(set) lazy var services = ServiceTable(control: self)
    private(set) lazy var counts = CountsExchange(control: self)
    private(set) lazy var edges = EdgeServer(control: self)
    /// Nil for an edge.
    private(set) var routing: RoutingShell?
    /// Nil for a gateway.
    private(set) var edge: EdgeClient?
    private var keys: KeyAgreement
    var agreementKey: [UInt8] { keys.publicKey }
    private var keyRing = KeyRing()
    private let dirty = DirtyServices()
    private let logger = Logger(label: "tieline.proxy")

    /// Who asked for a lane.
    enum DialOwner {
        case link(LinkName)
        case inside(IPAddress)
    }

    init(core: ProxyCore, loop: EventLoop, snapshots: SnapshotStore) {
        self.core = core
        self.loop = loop
        self.snapshots = snapshots
        keys = KeyAgreement(own: core.id)
    }

    /// Called once, when every loop has its agent.
    func start() {
        switch core.options.role {
        case .gateway(let mesh):
            let shell = RoutingShell(control: self)
            routing = shell
            shell.feed(
                .credentials(
                    certificateChain: core.current.context.credentials.chain,
                    agreementKey: keys.publicKey
                )
            )
            listen(.inside, port: core.options.internalPort, isOn: true)
            if let mesh { inside = InsideDialer(mesh, kind: .sibling, control: self) }
        case .edge(let gateways, let listeners):
            let client = EdgeClient(control: self, listeners: listeners)
            edge = client
            client.start()
            inside = InsideDialer(gateways, kind: .home, control: self)
        }
        inside?.start()
        tick()
    }

    /// Figures that nobody announces (round trips, streams per lane) reach the snapshot once a second.
    private func tick() {
        loop.schedule(after: .seconds(1)) { [weak self] _ in
            guard let self else { return }
            snapshotChanged()
            tick()
        }
    }

    func log(_ message: String) { logger.warning("\(message)") }
    func note(_ message: String) { logger.info("\(message)") }

    // MARK: What others read

    var siteName: SiteName {
        SiteName(id: core.id.site, name: document?.configuration.site.name ?? "")
    }

    var routeTable: RouteTable { routing?.table ?? RouteTable(origin: core.id) }

    /// An edge's gateways, the first attached first.
    private(set) var homes: [ProxyID] = []

    var health: HealthParameters { document?.configuration.health ?? .standard }

    /// What this proxy greets with on a lane of `link`, or within its site.
    func hello(for link: LinkConfiguration?) -> Hello {
        let health = link?.health ?? self.health
        return Hello(
            proxy: core.id,
            isEdge: core.isEdge,
            loops: core.loops,
            name: siteName.name,
            link: link?.name,
            heartbeat: health.heartbeat,
            misses: health.misses
        )
    }

    // MARK: Lanes

    func dial(_ order: DialOrder, for owner: DialOwner, on index: Int) {
        dials[order.id] = owner
        core.tellAgent(index) { $0.dial(order) }
    }

    /// The loop of a lane, as far as this side knows.
    func loop(of id: LaneID) -> Int? {
        if let neighbor = adjacencies.owner(of: id) {
            return adjacencies[neighbor]?.lanes.first { $0.id == id }?.loop
        }
        return admitted[id]?.loop
    }

    func closeLane(_ id: LaneID, _ closing: LaneClosing) {
        if let index = loop(of: id) {
            core.tellAgent(index) { $0.close(id, closing) }
        } else {
            // Still being dialled: only its agent knows it.
            core.tellAgents { $0.close(id, closing) }
        }
    }

    func retime(_ id: LaneID, _ hello: Hello) {
        core.tellAgents { $0.retime(id, hello) }
    }

    /// Sends a control frame over the adjacency's first lane; nothing when there is none.
    func send(_ type: FrameType, _ payload: [UInt8], to neighbor: ProxyID) {
        guard let lane = adjacencies[neighbor]?.lanes.first else { return }
        let id = lane.id
        core.tellAgent(lane.loop) { $0.send(type, payload, on: id) }
    }

    /// Listens for lanes on every loop, again every 2 s while a port is taken.
    func listen(_ purpose: LanePurpose, port: UInt16, isOn: Bool) {
        for index in core.mailboxes.indices {
            core.tellAgent(index) { agent in
                do {
                    try agent.listen(purpose, port: port, isOn: isOn)
                    let isBound = isOn && purpose == .inside
                    agent.core.tellControl { control in
                        if isBound { control.boundLoops.insert(index) }
                        control.updateReadiness()
                    }
                } catch {
                    agent.core.tellControl { control in
                        control.log("cannot listen on port \(port): \(error)")
                        control.loop.schedule(after: .seconds(2)) { [weak control] _ in
                            control?.relisten(purpose, port: port)
                        }
                    }
                }
            }
        }
    }

    private func relisten(_ purpose: LanePurpose, port: UInt16) {
        let isWanted = purpose == .inside || document?.configuration.acceptsLinks == true
        if isWanted, !hasStoppedListening { listen(purpose, port: port, isOn: true) }
    }

    // MARK: Adjacencies

    func adjacencyUp(_ neighbor: ProxyID, _ kind: AdjacencyTable.Kind) {
        note("\(kind) \(neighbor) is up")
        switch kind {
        case .remote: break
        case .sibling: counts.neighborUp(neighbor)
        case .edge:
            counts.neighborUp(neighbor)
            edges.attached(neighbor)
        case .home:
            homes.append(neighbor)
            counts.neighborUp(neighbor)
            edge?.attached()
        }
    }

    func adjacencyDown(_ neighbor: ProxyID, _ kind: AdjacencyTable.Kind) {
        note("\(kind) \(neighbor) is down")
        switch kind {
        case .remote: break
        case .sibling:
            counts.neighborDown(neighbor)
            inside?.siblingLost()
        case .edge:
            edges.detached(neighbor)
            counts.neighborDown(neighbor)
        case .home:
            homes.removeAll { $0 == neighbor }
            edge?.detached(neighbor)
            counts.neighborDown(neighbor)
        }
        updateReadiness()
    }

    /// Tells routing which edges lead to a gateway now.
    func edgesChanged(_ neighbor: ProxyID) {
        let adjacency = adjacencies[neighbor]
        guard adjacency == nil || adjacency?.kind == .remote || adjacency?.kind == .sibling
        else { return }
        routing?.feed(.adjacency(neighbor: neighbor, edges: adjacency?.edges ?? []))
    }

    // MARK: Services

    func makeService(_ key: ServicePort) -> SharedService {
        let (core, dirty) = (core, dirty)
        return SharedService(service: key) {
            if dirty.insert(key) { core.tellControl { $0.servicesChanged() } }
        }
    }

    var sharedServices: [ServicePort: SharedService] { edge?.shared ?? services.shared }

    private func servicesChanged() {
        var own: [ServicePort: [SiteID: UInt64]] = [:]
        for key in dirty.take() {
            guard let service = sharedServices[key] else { continue }
            own[key] = service.ownCounts
            collectRecords(of: service)
            if !core.isEdge { services.doubtHosts(of: key) }
        }
        counts.ownChanged(own)
        snapshotChanged()
    }

    private func collectRecords(of service: SharedService) {
        for record in service.takeRecords() {
            failoverSequence += 1
            failovers.append(record.numbered(failoverSequence))
        }
        failovers = failovers.suffix(256)
    }

    /// Local servers, their names, or the configuration changed.
    func refreshServices() {
        let advertised = services.refresh(routeTable, at: loop.now)
        routing?.feed(.services(advertised))
        edges.changed()
        publish()
    }

    func routesChanged(_ table: RouteTable) {
        keyRing = KeyRing(keys.keys(for: table))
        _ = services.refresh(table, at: loop.now)
        edges.changed()
        publish()
    }

    func hostResolved(_ name: String, _ result: Result<[IPAddress], ResolverError>) {
        if services.hostResolved(name, result) { refreshServices() }
    }

    func listenerFailed(_ listener: ClientListener, _ error: String?) {
        listenErrors[listener] = error
        if let error {
            log("cannot listen for \(listener.service) on port \(listener.port): \(error)")
            // Whoever holds the port may let go of it.
            loop.schedule(after: .seconds(2)) { [weak self] _ in self?.publishListeners() }
        }
        snapshotChanged()
    }

    // MARK: Publishing

    /// Gives every loop what it needs for streams, and opens and closes client listeners.
    func publish() {
        let view = DataPlaneView(
            proxy: core.id,
            isEdge: core.isEdge,
            services: serviceEntries,
            routes: routesBySite,
            keys: keyRing,
            // Whoever has not heard of the drain yet is still served.
            isDraining: hasStoppedListening
        )
        core.tellAgents { $0.engine.update(view) }
        publishListeners()
        updateReadiness()
        snapshotChanged()
    }

    private func publishListeners() {
        guard !hasStoppedListening else { return }
        let listeners =
            edge?.clientListeners ?? services.listeners(bind: core.options.bind)
        // What is not wanted any more cannot fail any more.
        listenErrors = listenErrors.filter { listeners.contains($0.key) }
        core.tellAgents { $0.setClientListeners(listeners) }
    }

    private var serviceEntries: [ServicePort: ServiceEntry] {
        var entries: [ServicePort: ServiceEntry] = [:]
        for (key, shared) in sharedServices {
            let timeouts = edge?.routes.timeouts(key) ?? services.timeouts(key)
            entries[key] = ServiceEntry(shared: shared, timeouts: timeouts)
        }
        return entries
    }

    private var routesBySite: [ServicePort: [SiteID: [[ProxyID]]]] {
        var routes: [ServicePort: [SiteID: [[ProxyID]]]] = [:]
        if let edge {
            for key in edge.shared.keys {
                for joined in edge.routes.targets(key) {
                    routes[key, default: [:]][joined.target.site] = joined.routes
                }
            }
        } else {
            for (key, targets) in routeTable.services {
                for target in targets where !target.routes.isEmpty {
                    routes[key, default: [:]][target.site] = target.routes
                }
            }
        }
        return routes
    }
}

extension FailoverRecord {
    fileprivate func numbered(_ sequence: UInt64) -> FailoverRecord {
        FailoverRecord(
            sequence: sequence,
            service: service,
            from: from,
            to: to,
            reason: reason,
            at: at,
            lost: lost,
            resumed: resumed,
            duration: duration
        )
    }
}
