import DequeModule
import FoundationEssentials
import Logging
import NetworkModel
import ProxyContract
import SiteControl
import TLS
import Telemetry

/// Feeds what decides for this proxy, carries out what it says, and keeps its timer.
///
/// Confined to loop 0.
final class ControlShell {
    let core: ProxyCore
    let loop: EventLoop
    private(set) var control: any ProxyControl
    let services: ServiceShelf
    let snapshots: SnapshotStore
    let resolver = Resolver()
    let memory: MemoryWatch
    var authority = LSAAuthority()
    /// The key that others agree with, and what it gives with theirs.
    var keys: KeyAgreement
    var refusesStreams = false
    /// Figures of the lanes that are open for streams.
    var gauges: [LaneID: LaneGauge] = [:]
    let logger = Logger(label: "tieline.proxy")
    private var inputs: Deque<ControlInput> = []
    private var isHandling = false
    private var timer: (id: TimerID, at: Instant)?
    /// Nil when nothing is recorded, or the file is full.
    private var recorder: ControlRecorder?

    init(
        core: ProxyCore,
        loop: EventLoop,
        snapshots: SnapshotStore,
        recorder: ControlRecorder?
    ) {
        self.core = core
        memory = MemoryWatch(core.memory, on: loop) { [core] order in
            switch order {
            case .plan(let bytes):
                let share = bytes.map { Int(clamping: $0) / core.loops }
                core.tellAgents { $0.engine.memory = StreamEngine.Memory(budget: share) }
            case .trim(let resets): core.tellAgents { $0.engine.trim(resets: resets) }
            }
        }
        self.loop = loop
        self.snapshots = snapshots
        keys = KeyAgreement(own: core.id)
        services = ServiceShelf(core: core, loop: loop)
        self.recorder = recorder
        let options = ControlOptions(core.options, own: core.id, loops: core.loops)
        var listeners: [SidecarListener]?
        switch core.options.role {
        case .gateway: control = GatewayControl(options)
        case .sidecar(_, let wanted, _):
            control = SidecarControl(options, listeners: wanted)
            listeners = wanted
        }
        record { try Recording.header(options, listeners: listeners) }
    }

    /// Called once, when every loop has its agent.
    func start() {
        memory.start()
        credentialsChanged(core.current.context)
        feed(.start)
    }

    /// An input that comes while the outputs of another one are carried out waits for the last of those: a signature, or how a
    /// service stands.
    func feed(_ input: ControlInput) {
        inputs.append(input)
        guard !isHandling else { return }
        isHandling = true
        while let input = inputs.popFirst() {
            let (now, wall) = (loop.now, Timestamp.now())
            let outputs = control.handle(input, at: now, wall: wall)
            record { try Recording.line(input, at: now, wall: wall, outputs) }
            for output in outputs {
                carryOut(output)
                // There may be thousands.
                loop.breathe()
            }
            inputs += services.takeReports().map(ControlInput.services)
        }
        isHandling = false
        arm()
    }

    private func record(_ line: () throws -> Data) {
        guard let recorder else { return }
        let isRecorded = (try? line()).map(recorder.append) ?? false
        guard !isRecorded else { return }
        logger.warning("the recording ends here: its file is full, or cannot be written")
        self.recorder = nil
    }

    private func arm() {
        let deadline = control.nextDeadline
        guard deadline != timer?.at else { return }
        if let timer { loop.cancel(timer.id) }
        timer = nil
        guard let deadline else { return }
        let id = loop.schedule(at: deadline) { [weak self] _ in
            self?.timer = nil
            self?.handleDeadlines()
        }
        timer = (id, deadline)
    }

    /// Takes steps of long work for as long as one step of a turn may last, and goes on in the next one: clients and lanes of this
    /// loop wait for it.
    private func handleDeadlines() {
        let end = EventLoop.clock() + loop.stepTime
        repeat {
            feed(.deadline)
            guard let next = control.nextDeadline, next <= loop.now else { return }
        } while EventLoop.clock() < end
    }

    // MARK: What is more than an input

    func credentialsChanged(_ context: TLSContext) {
        feed(
            .credentials(
                certificateChain: context.credentials.chain,
                agreementKey: keys.publicKey
            )
        )
    }

    func apply(_ document: ConfigurationDocument) {
        feed(.configuration(document, localAddresses: LocalAddresses.current()))
    }

    /// A lane is open for streams; its loop keeps its figures in `gauge`.
    func opened(_ id: LaneID, _ gauge: LaneGauge, _ input: ControlInput) {
        gauges[id] = gauge
        feed(input)
    }

    func ended(_ id: LaneID, _ end: LaneEnd, wasUp: Bool) {
        let figures = gauges.removeValue(forKey: id)?.figures ?? LaneFigures()
        feed(.ended(id, end, wasUp: wasUp, figures))
    }

    func beginDrain() -> DrainSteps {
        feed(.drain)
        let parameters = control.drainParameters
        if case .sidecar(_, _, endsLast: true) = core.options.role {
            return DrainSteps(afterWorkload: parameters.grace, at: loop.now)
        }
        return DrainSteps(parameters, at: loop.now)
    }

    /// Publishes what is known now of everything.
    func takeWholeSnapshot() {
        services.markAll()
        measure()
        snapshots.offer(control.wholeSnapshot(at: loop.now, wall: Timestamp.now()))
    }

    func measure() {
        let shortages = Shortages.current(at: loop.now).map {
            HostShortage(name: $0.rawValue, explanation: $0.explanation)
        }
        feed(.measured(gauges.mapValues(\.figures), shortages: shortages))
    }
}

extension ControlOptions {
    fileprivate init(_ options: ProxyOptions, own: ProxyID, loops: Int) {
        let shares = DescriptorShares.ofProcess
        let (others, same) = (NeighborShares(descriptors: shares), NeighborShares.own(shares))
        self.init(
            own: own,
            predecessors: options.predecessors(own),
            loops: loops,
            bind: options.bind,
            linkPort: options.linkPort,
            internalPort: options.internalPort,
            admin: options.admin,
            isInCluster: options.isInCluster,
            gateways: options.gateways,
            shares: LaneShares(
                lanes: shares.lanes,
                lanesPerSite: others[.lanes],
                lanesOfOwnSite: same[.lanes],
                proxiesPerSite: others[.instances],
                proxiesOfOwnSite: same[.instances]
            ),
            seed: .random(in: .min ... .max)
        )
    }
}
