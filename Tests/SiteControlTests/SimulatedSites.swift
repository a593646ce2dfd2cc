import NetworkModel
import ProxyContract
import Routing
import TestSupport
import Testing
import Wire

@testable import SiteControl

/// Gateways and sidecars as values on a virtual clock, joined by lanes that delay, overtake each other and are cut.
///
/// Each has a model of a shell: dialing finds the proxy that listens, balancers are balancers, signatures are a word.
struct SimulatedSites {
    struct Node {
        let id: ProxyID
        let address: IPAddress
        let options: ControlOptions
        var control: any ProxyControl
        var services: [ServicePort: ModelService] = [:]
        var changed: Set<ServicePort> = []
        var lanes: [LaneID: (lane: Int, side: Int)] = [:]
        var ports: [LanePort] = []
        /// What loops know of.
        var viewed: Set<ServicePort> = []
        var clients: [ClientListener] = []
        var snapshot: ProxySnapshot?
        var isReady = false
        var log: [String] = []
        var refusals: [LaneClosing] = []
        var accepted: UInt64 = 0
        var isStopped = false
        /// Everything that it was fed, and what it said.
        var record: [Step] = []
    }

    struct Step {
        let input: ControlInput
        let at: Instant
        let wall: Timestamp
        let outputs: [ControlOutput]
    }

    struct Lane {
        struct End {
            let node: Int
            let id: LaneID
            var isUp = false
        }

        let order: DialOrder
        /// Dialer, acceptor.
        var ends: [End]
        var isOpen = true
        /// When the last frame arrives at each end: a lane keeps the order.
        var arrival: [Instant]
    }

    private struct Event {
        let at: Instant
        let order: UInt64
        let node: Int
        let input: ControlInput
        /// Lost if the lane has been cut.
        let lane: Int?
    }

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var nodes: [Node] = []
    private(set) var lanes: [Lane] = []
    var names: [String: [IPAddress]] = [:]
    /// What sidecars listen for.
    private(set) var listeners: [Int: [SidecarListener]] = [:]
    /// Nobody reaches these.
    var unreachable: Set<IPAddress> = []
    /// How long a frame may take, in milliseconds.
    var delay: ClosedRange<Int> = 1...5
    /// Deadlines that brought the time no further.
    private(set) var idleDeadlines = 0
    private var events: [Event] = []
    private var order: UInt64 = 0
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    var wall: Timestamp {
        Timestamp(seconds: 1_700_000_000) + (now - Instant(nanoseconds: 0))
    }

    // MARK: Proxies

    /// A gateway; `mesh` is the name of the gateways of its site.
    mutating func gateway(
        _ id: ProxyID,
        mesh: String? = nil,
        loops: Int = 1,
        predecessors: [ProxyID] = [],
        shares: LaneShares = LaneShares()
    ) -> Int {
        var options = options(id, loops: loops, gateways: mesh)
        options.predecessors = predecessors
        options.shares = shares
        if let mesh { names[mesh, default: []].append(options.bind ?? .v4(0)) }
        return add(id, options, GatewayControl(options))
    }

    mutating func sidecar(_ id: ProxyID, of gateways: String, _ services: [ServicePort]) -> Int {
        let options = options(id, loops: 1, gateways: gateways)
        let listeners = services.enumerated().map { index, service in
            SidecarListener(
                service: service,
                endpoint: Endpoint(address: .v4(127 << 24 | 1), port: UInt16(9_000 + index))
            )
        }
        self.listeners[nodes.count] = listeners
        return add(id, options, SidecarControl(options, listeners: listeners))
    }

    private mutating func options(
        _ id: ProxyID,
        loops: Int,
        gateways: String?
    ) -> ControlOptions {
        ControlOptions(
            own: id,
            loops: loops,
            bind: .v4(10 << 24 | UInt32(nodes.count) + 1),
            gateways: gateways.map { HostAndPort(host: $0, port: 5672) },
            seed: random.next()
        )
    }

    private mutating func add(
        _ id: ProxyID,
        _ options: ControlOptions,
        _ control: any ProxyControl
    ) -> Int {
        nodes.append(
            Node(
                id: id,
                address: options.bind ?? .v4(0),
                options: options,
                control: control
            )
        )
        let index = nodes.count - 1
        let key = [UInt8](repeating: UInt8(truncatingIfNeeded: id.instance), count: 32)
        feed(.credentials(certificateChain: [[1], [2]], agreementKey: key), to: index)
        feed(.start, to: index)
        return index
    }

    /// Stops it at once: its lanes end.
    mutating func kill(_ node: Int) {
        nodes[node].isStopped = true
        for index in lanes.indices where lanes[index].ends.contains(where: { $0.node == node }) {
            cut(index)
        }
    }

    // MARK: Inputs and outputs

    mutating func feed(_ input: ControlInput, to node: Int) {
        guard !nodes[node].isStopped else { return }
        var inputs = [input]
        while !inputs.isEmpty {
            let input = inputs.removeFirst()
            let outputs = nodes[node].control.handle(input, at: now, wall: wall)
            nodes[node].record.append(
                Step(input: input, at: now, wall: wall, outputs: outputs)
            )
            for output in outputs { carryOut(output, of: node, &inputs) }
            let reports = nodes[node].changed.sorted().compactMap {
                nodes[node].services[$0]?.report()
            }
            nodes[node].changed = []
            if !reports.isEmpty { inputs.append(.services(reports)) }
        }
    }

    private mutating func carryOut(
        _ output: ControlOutput,
        of node: Int,
        _ inputs: inout [ControlInput]
    ) {
        switch output {
        case .dial, .admit, .refuse, .close, .retire, .retime, .send: carryOutOnLane(output, node)
        case .listenForLanes(let ports):
            nodes[node].ports = ports
            for port in ports {
                for loop in 0..<nodes[node].options.loops {
                    later(.lanePort(port, loop: loop, failure: nil), at: node)
                }
            }
        case .listenForClients(let listeners): listen(listeners, at: node)
        case .resolve(let question): later(.resolved(question, answer(question.host)), at: node)
        case .sign(let lsa):
            let body = LSACodec.encodeBody(lsa)
            let bytes = LSACodec.seal(body: body, signature: Self.signature)
            inputs.append(.signed(SignedLSA(lsa: lsa, bytes: bytes)))
        case .verify(let bytes): inputs.append(verify(bytes))
        case .report, .memoryBudget: break
        case .measure: inputs.append(.measured(figures(of: node), shortages: []))
        case .updateService(let key, let update):
            let site = nodes[node].id.site
            nodes[node].services[key, default: ModelService(key, at: site)].update(
                update,
                at: now
            )
            nodes[node].changed.insert(key)
        case .setOthers(let key, let counts):
            nodes[node].services[key]?.setOthers(counts)
            nodes[node].changed.insert(key)
        case .setElsewhere(let key, let counts):
            nodes[node].services[key]?.setElsewhere(counts)
            nodes[node].changed.insert(key)
        case .forgetService(let key): nodes[node].services[key] = nil
        case .publishView(let number, _, let listeners):
            nodes[node].viewed = Set(nodes[node].services.keys)
            if let listeners { listen(listeners, at: node) }
            later(.viewSeen(number), at: node)
        case .snapshot(let snapshot): nodes[node].snapshot = snapshot
        case .ready(let isReady): nodes[node].isReady = isReady
        case .log(let text): nodes[node].log.append(text)
        case .agree, .reset, .ended, .revoked, .grants, .health, .account, .note: break
        }
    }

    /// Whoever comes to a loop that does not know the service yet is refused.
    private mutating func listen(_ listeners: [ClientListener], at node: Int) {
        let unknown = listeners.map(\.service).filter { !nodes[node].viewed.contains($0) }
        #expect(unknown.isEmpty, "loops listen for services that they do not know")
        nodes[node].clients = listeners
    }

    private static let signature = Array("signed".utf8)

    private func verify(_ bytes: [UInt8]) -> ControlInput {
        do {
            let decoded = try bytes.decode(LSACodec.decode)
            guard decoded.signature == Self.signature else { return .disbelieved("signature") }
            return .verified(SignedLSA(lsa: decoded.lsa, bytes: bytes))
        } catch {
            return .disbelieved("\(error)")
        }
    }

    private func answer(_ host: String) -> Answer {
        if let address = IPAddress(host) { return .addresses([address]) }
        let addresses = names[host] ?? []
        return addresses.isEmpty ? .failed("no such name") : .addresses(addresses)
    }

    private mutating func later(_ input: ControlInput, at node: Int, lane: Int? = nil) {
        let wait = Int.random(in: delay, using: &random)
        schedule(input, at: node, now + .milliseconds(wait), lane: lane)
    }

    private mutating func schedule(
        _ input: ControlInput,
        at node: Int,
        _ time: Instant,
        lane: Int? = nil
    ) {
        order += 1
        let event = Event(at: time, order: order, node: node, input: input, lane: lane)
        // The next one is the last.
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            let isLater = (events[middle].at, events[middle].order) > (event.at, event.order)
            if isLater { low = middle + 1 } else { high = middle }
        }
        events.insert(event, at: low)
    }

    // MARK: Time

    /// Runs for so long; every input is a message or a deadline.
    mutating func run(milliseconds: Int) {
        let end = now + .milliseconds(milliseconds)
        while true {
            let due = nodes.indices.filter { !nodes[$0].isStopped }
                .compactMap { index in nodes[index].control.nextDeadline.map { ($0, index) } }
                .min { $0 < $1 }
            let event = events.last
            let next = min(due?.0 ?? end, event?.at ?? end)
            guard next < end else { break }
            idleDeadlines = next > now ? 0 : idleDeadlines + 1
            precondition(idleDeadlines < 100_000, "a deadline brings nothing further")
            now = max(now, next)
            if let event, event.at <= due?.0 ?? end {
                events.removeLast()
                perform(event)
            } else if let due {
                feed(.deadline, to: due.1)
            }
        }
        now = end
    }

    private mutating func perform(_ event: Event) {
        if let lane = event.lane {
            guard lanes[lane].isOpen else { return }
            for side in 0...1 where lanes[lane].ends[side].node == event.node {
                switch event.input {
                case .dialed where side == 0, .welcomed where side == 1:
                    lanes[lane].ends[side].isUp = true
                default: break
                }
            }
        }
        feed(event.input, to: event.node)
    }

    // MARK: Lanes

    private mutating func carryOutOnLane(_ output: ControlOutput, _ node: Int) {
        switch output {
        case .dial(let order): dial(order, node)
        case .admit(let id, _, let loop, let hello): admit(id, loop, hello, node)
        case .refuse(let id, _, let closing), .close(let id, _, let closing):
            if case .refuse = output { nodes[node].refusals.append(closing) }
            guard let (lane, side) = nodes[node].lanes[id] else { return }
            end(lane, [side: .closedHere(closing), 1 - side: .closedByNeighbor(closing)])
        case .send(let type, let bytes, let id, _): send(type, bytes, id, node)
        default: break
        }
    }

    private mutating func dial(_ order: DialOrder, _ node: Int) {
        let port = LanePort(purpose: order.purpose, port: order.endpoint.port)
        let found = nodes.indices.first { index in
            nodes[index].address == order.endpoint.address && nodes[index].ports.contains(port)
                && !nodes[index].isStopped
        }
        guard let found, !unreachable.contains(order.endpoint.address),
            !unreachable.contains(nodes[node].address)
        else {
            let end = LaneEnd.failed("connection refused")
            return later(.ended(order.id, end, wasUp: false, LaneFigures()), at: node)
        }
        guard order.expectedSites.contains(nodes[found].id.site) else {
            let end = LaneEnd.unexpectedSite(nodes[found].id.site)
            return later(.ended(order.id, end, wasUp: false, LaneFigures()), at: node)
        }
        nodes[found].accepted += 2
        let id = LaneID(number: nodes[found].accepted)
        let ends = [Lane.End(node: node, id: order.id), Lane.End(node: found, id: id)]
        lanes.append(Lane(order: order, ends: ends, arrival: [now, now]))
        nodes[node].lanes[order.id] = (lanes.count - 1, 0)
        nodes[found].lanes[id] = (lanes.count - 1, 1)
        let candidate = LaneCandidate(
            id: id,
            loop: Int.random(in: 0..<nodes[found].options.loops, using: &random),
            purpose: order.purpose,
            remote: Endpoint(address: nodes[node].address, port: 40_000),
            site: nodes[node].id.site,
            role: order.hello.isSidecar ? .sidecar : .gateway,
            hello: order.hello
        )
        later(.candidate(candidate), at: found, lane: lanes.count - 1)
    }

    private mutating func admit(_ id: LaneID, _ loop: Int, _ hello: Hello, _ node: Int) {
        guard let (lane, _) = nodes[node].lanes[id], lanes[lane].isOpen else { return }
        let (order, dialer) = (lanes[lane].order, lanes[lane].ends[0])
        let candidate = LaneCandidate(
            id: dialer.id,
            loop: order.loop,
            purpose: order.purpose,
            remote: order.endpoint,
            site: nodes[node].id.site,
            role: .gateway,
            hello: hello
        )
        deliver(.welcomed(id), over: lane, to: 1)
        deliver(.dialed(candidate), over: lane, to: 0)
    }

    private mutating func send(_ type: FrameType, _ bytes: [UInt8], _ id: LaneID, _ node: Int) {
        guard let (lane, side) = nodes[node].lanes[id], lanes[lane].isOpen else { return }
        let other = lanes[lane].ends[1 - side]
        let input = ControlInput.frame(type, bytes, from: nodes[node].id, on: other.id)
        deliver(input, over: lane, to: 1 - side)
    }

    /// In the order of sending.
    private mutating func deliver(_ input: ControlInput, over lane: Int, to side: Int) {
        let wait = Int.random(in: delay, using: &random)
        let time = max(now + .milliseconds(wait), lanes[lane].arrival[side])
        lanes[lane].arrival[side] = time
        schedule(input, at: lanes[lane].ends[side].node, time, lane: lane)
    }

    /// Cuts a lane: what is on its way is lost, and both sides see it a little later.
    mutating func cut(_ lane: Int) {
        end(lane, [0: .failed("cut"), 1: .failed("cut")])
    }

    private mutating func end(_ lane: Int, _ reasons: [Int: LaneEnd]) {
        guard lanes[lane].isOpen else { return }
        lanes[lane].isOpen = false
        for side in 0...1 {
            let end = lanes[lane].ends[side]
            nodes[end.node].lanes[end.id] = nil
            let reason = reasons[side] ?? .failed("cut")
            later(.ended(end.id, reason, wasUp: end.isUp, LaneFigures()), at: end.node)
        }
    }

    private func figures(of node: Int) -> [LaneID: LaneFigures] {
        nodes[node].lanes.mapValues { _ in LaneFigures(roundTrip: 1_000) }
    }

    /// Open lanes between two proxies.
    func lanes(_ left: Int, _ right: Int) -> [Int] {
        lanes.indices.filter {
            lanes[$0].isOpen && Set(lanes[$0].ends.map(\.node)) == [left, right]
                && lanes[$0].ends.allSatisfy(\.isUp)
        }
    }

    // MARK: Clients

    /// Opens a connection at a proxy; the site that takes it.
    @discardableResult
    mutating func connect(_ service: ServicePort, at node: Int) -> SiteID? {
        guard let site = nodes[node].services[service]?.connect(at: now) else { return nil }
        nodes[node].changed.insert(service)
        feed(.countsChanged, to: node)
        return site
    }

    /// A connection has come to the server at a gateway.
    mutating func serve(_ service: ServicePort, at node: Int) {
        nodes[node].services[service]?.serve(at: now)
        nodes[node].changed.insert(service)
        feed(.countsChanged, to: node)
    }

    mutating func release(_ service: ServicePort, at node: Int) {
        guard let count = nodes[node].services[service]?.picks.count, count > 0 else { return }
        nodes[node].services[service]?.release(Int.random(in: 0..<count, using: &random))
        nodes[node].changed.insert(service)
        feed(.countsChanged, to: node)
    }

    /// What a fresh control says to the same inputs; nil when it says the same.
    func replay(_ node: Int, _ fresh: any ProxyControl) -> String? {
        var control = fresh
        for (index, step) in nodes[node].record.enumerated() {
            let outputs = control.handle(step.input, at: step.at, wall: step.wall)
            if outputs != step.outputs {
                return "input \(index), \(step.input): \(outputs), not \(step.outputs)"
            }
        }
        return nil
    }
}
