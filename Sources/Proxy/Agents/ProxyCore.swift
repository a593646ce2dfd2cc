import NetworkModel
import ProxyContract
import SiteControl
import Synchronization
import TLS
import Telemetry

/// What every loop of a proxy may use: identity, mailboxes, and what new lanes are made with.
final class ProxyCore: Sendable {
    let id: ProxyID
    let options: ProxyOptions
    let mailboxes: [Mailbox]
    let isSidecar: Bool
    /// What the stream engines share.
    let plane: StreamPlane
    private let laneNumber = Atomic<UInt64>(0)
    private let acceptance: Mutex<Acceptance>
    private let streams: Mutex<[Int]>
    let linkMeters = LinkMeters()
    let grants = JoinGrants()
    private let loopMeters: Mutex<[LoopMeter]>
    /// The services that are known, for their meters.
    private let services = Mutex<[ServicePort: SharedService]>([:])

    /// What accepted lanes are made with.
    struct Acceptance: Sendable {
        var context: TLSContext
        var health: HealthParameters
    }

    init(id: ProxyID, options: ProxyOptions, context: TLSContext, mailboxes: [Mailbox]) {
        self.id = id
        self.options = options
        self.mailboxes = mailboxes
        plane = StreamPlane(mailboxes: mailboxes, accounts: NeighborAccounts(own: id.site))
        if case .sidecar = options.role { isSidecar = true } else { isSidecar = false }
        streams = Mutex(Array(repeating: 0, count: mailboxes.count))
        loopMeters = Mutex(Array(repeating: LoopMeter(), count: mailboxes.count))
        acceptance = Mutex(Acceptance(context: context, health: .standard))
    }

    var loops: Int { mailboxes.count }

    /// What the proxy plans with, and uses.
    var memory: MemoryBudget { plane.memory }

    /// What each neighbor site holds here.
    var accounts: NeighborAccounts { plane.accounts }

    func makeLaneID() -> LaneID {
        LaneID(number: laneNumber.wrappingAdd(2, ordering: .relaxed).newValue)
    }

    var current: Acceptance { acceptance.withLock { $0 } }

    func setContext(_ context: TLSContext) { acceptance.withLock { $0.context = context } }
    func setHealth(_ health: HealthParameters) { acceptance.withLock { $0.health = health } }

    func setStreams(_ count: Int, loop: Int) { streams.withLock { $0[loop] = count } }

    /// Connections and streams that are open on all loops, at most 200 ms old.
    var openStreams: Int { streams.withLock { $0.reduce(0, +) } }

    // MARK: Meters

    func noteHeld(_ held: HeldBytes, loop: Int) { loopMeters.withLock { $0[loop].held = held } }

    func noteLag(_ lag: Duration, loop: Int) {
        loopMeters.withLock { $0[loop].lag.observe(lag.inSeconds) }
    }

    func know(_ service: SharedService?, as key: ServicePort) {
        services.withLock { $0[key] = service }
    }

    /// Nil: this proxy knows no such service port.
    func service(_ key: ServicePort) -> SharedService? { services.withLock { $0[key] } }

    var servicePorts: [ServicePort] { services.withLock { Array($0.keys) } }

    var meters: ProxyMeters {
        var meters = ProxyMeters()
        meters.services = services.withLock { $0 }.mapValues(\.meters).filter { !$0.value.isEmpty }
        meters.links = linkMeters.all
        meters.loops = loopMeters.withLock { $0 }
        meters.memoryBudget = memory.limit
        meters.memoryUsed = memory.used
        return meters
    }

    /// Runs `letter` on loop 0 with the control; on an account, when its share of a turn allows.
    func tellControl(
        on account: AccountNumber? = nil,
        _ letter: @escaping @Sendable (ControlShell) -> Void
    ) {
        mailboxes[0].post(on: account) { loop in
            if let control = loop.local(ControlShell.self) { letter(control) }
        }
    }

    /// Runs `letter` on loop `index` with its agent.
    func tellAgent(_ index: Int, _ letter: @escaping @Sendable (LoopAgent) -> Void) {
        mailboxes[index].post { loop in
            if let agent = loop.local(LoopAgent.self) { letter(agent) }
        }
    }

    func tellAgents(_ letter: @escaping @Sendable (LoopAgent) -> Void) {
        for index in mailboxes.indices { tellAgent(index, letter) }
    }
}
