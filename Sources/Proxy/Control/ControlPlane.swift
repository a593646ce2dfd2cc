import Balancing
import Logging
import NetworkModel
import Routing
import SiteConfiguration
import SiteControl
import TLS
import Wire

/// The control plane of one proxy: adjacencies, routing, services, counts, sidecars, snapshot.
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
    /// Lanes that this proxy dialed, until they end.
    var dials: [LaneID: DialOwner] = [:]
    /// Lanes that were let in and have not yet said that they are in place.
    var admitted: [LaneID: (candidate: LaneCandidate, loop: Int)] = [:]
    /// Whose account holds a lane.
    var laneAccounts: [LaneID: NeighborAccount] = [:]
    var refusals = RefusalList()
    var listenerReports = ListenerReports<ListenPlace>()
    var failovers = FailoverJournal()
    var configurationError: String?
    var appliedCount: UInt64 = 0
    /// What this host is short of.
    private(set) var shortages: [Shortage] = []
    var isDraining = false
    var hasStoppedListening = false
    var refusesStreams = false
    /// When changes of counts were last taken.
    var lastChanges = Instant(nanoseconds: 0)
    /// Service ports whose servers changed in this turn.
    var staleServices: Set<ServicePort> = []
    /// What every loop knows of services; made anew when one comes or goes.
    var serviceEntries: [ServicePort: ServiceEntry] = [:]
    /// Views that were published and are not known to every loop yet.
    var unseenViews = 0
    /// What is advertised waits for them.
    var owesAdvertisement = false
    var isSnapshotScheduled = false
    /// Round trips as last shown, so that jitter makes no new snapshots.
    var shownRoundTrips: [LinkName: UInt64] = [:]
    let snapshots: SnapshotStore
    var shown = ShownServices()
    /// The configuration's `ownAddresses`, read once: there may be thousands.
    private var coreServices: (texts: [String], addresses: Set<IPAddress>) = ([], [])
    /// The links of the first configuration have been tried.
    var hasSettled = false
    private(set) lazy var drains = LaneDrains(control: self)
    private(set) lazy var lanePorts = LanePorts(control: self)
    private(set) lazy var services = ServiceTable(control: self)
    private(set) lazy var counts = CountsExchange(control: self)
    private(set) lazy var sidecars = SidecarServer(control: self)
    /// Nil for a sidecar.
    private(set) var routing: RoutingShell?
    /// Nil for a gateway.
    private(set) var sidecar: SidecarClient?
    /// The key that others agree with; what it gives with theirs is in `keyRing`.
    var keys: KeyAgreement
    var keyRing = KeyRing()
    let changes = ServiceChanges()
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
            lanePorts.listen(.inside, on: core.options.internalPort)
            if let mesh { inside = InsideDialer(mesh, kind: .sibling, control: self) }
        case .sidecar(let gateways, let listeners):
            let client = SidecarClient(control: self, listeners: listeners)
            sidecar = client
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
            lookAtShortages()
            snapshotChanged()
            tick()
        }
    }

    /// Tells what the process is short of once, and once that it is over.
    private func lookAtShortages() {
        let current = Shortages.current(at: loop.now)
        for shortage in current where !shortages.contains(shortage) { log(shortage.explanation) }
        for shortage in shortages where !current.contains(shortage) {
            log("no longer: \(shortage.rawValue) are short")
        }
        shortages = current
    }

    func log(_ message: String) { logger.warning("\(message)") }
    func note(_ message: String) { logger.info("\(message)") }

    // MARK: What others read

    /// Addresses that lead to this site's gateways.
    var ownAddresses: Set<IPAddress> {
        let services = document?.configuration.ownAddresses ?? []
        if services != coreServices.texts {
            coreServices = (services, Set(services.compactMap { IPAddress($0) }))
        }
        return coreServices.addresses.union(inside?.addresses ?? [])
    }

    var siteName: SiteName {
        SiteName(id: core.id.site, name: document?.configuration.site.name ?? "")
    }

    var routeTable: RouteTable { routing?.table ?? RouteTable(origin: core.id) }

    /// A sidecar's gateways, the first attached first.
    private(set) var homes: [ProxyID] = []

    var health: HealthParameters { document?.configuration.health ?? .standard }

    /// What this proxy greets with on a lane of `link`, or within its site.
    func hello(for link: LinkConfiguration?) -> Hello {
        let health = link?.health ?? self.health
        return Hello(
            proxy: core.id,
            isSidecar: core.isSidecar,
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
            // Still being dialed: only its agent knows it.
            core.tellAgents { $0.close(id, closing) }
        }
    }

    func retime(_ id: LaneID, _ hello: Hello) {
        core.tellAgents { $0.retime(id, hello) }
    }

    /// Sends a control frame over the adjacency's first lane; nothing when there is none.
    func send(_ type: FrameType, _ payload: [UInt8], to neighbor: ProxyID) {
        guard let lane = adjacencies[neighbor]?.lanes.first else { return }
        if payload.count > FrameHeader.maximumPayload {
            log(
                "a \(type) of \(payload.count) bytes is longer than a frame may be: the lane to \(neighbor) ends"
            )
        }
        let id = lane.id
        core.tellAgent(lane.loop) { $0.send(type, payload, on: id) }
    }

    // MARK: Adjacencies

    func adjacencyUp(_ neighbor: ProxyID, _ kind: AdjacencyTable.Kind) {
        note("\(kind) \(neighbor) is up")
        switch kind {
        case .remote: break
        case .sibling: counts.neighborUp(neighbor)
        case .sidecar:
            counts.neighborUp(neighbor)
            sidecars.attached(neighbor, tellsWants: adjacencies[neighbor]?.tellsWants ?? false)
            updateInterest()
        case .home:
            homes.append(neighbor)
            counts.neighborUp(neighbor)
            sidecar?.attached(neighbor)
        }
    }

    func adjacencyDown(_ neighbor: ProxyID, _ kind: AdjacencyTable.Kind) {
        note("\(kind) \(neighbor) is down")
        switch kind {
        case .remote: break
        case .sibling:
            counts.neighborDown(neighbor)
            inside?.siblingLost()
        case .sidecar:
            sidecars.detached(neighbor)
            updateInterest()
            counts.neighborDown(neighbor)
        case .home:
            homes.removeAll { $0 == neighbor }
            sidecar?.detached(neighbor)
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
}
