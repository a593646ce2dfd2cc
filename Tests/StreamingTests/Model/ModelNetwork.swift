import Balancing
import NetworkModel
import TestSupport
import Wire

@testable import Streaming

/// What a network is made of, and what may go wrong in it.
struct ModelPlan {
    struct Way {
        var site: Int
        /// Proxies between ingress and egress.
        var transits: Int
    }

    var ways: [Way]
    /// Servers of each target.
    var servers = 1
    var clients = 1
    /// Bytes that each client and each server has to say.
    var words: (client: Int, server: Int) = (4, 4)
    /// Bytes that are read, or sent, at once.
    var chunk = 2
    var window = 65_536
    /// OPENs of each client.
    var opensMax = Int.max
    /// How long a stream may be without a path; zero: nothing resumes.
    var grace: Duration = .zero
    /// RESUMEs of each stream, and one more.
    var epochsMax = UInt32.max
    /// Between two neighbors.
    var lanesPerHop = 1
    /// Servers refuse, and sockets fail.
    var hasFailures = true
    /// Lanes end.
    var hasCuts = true
    /// Streams may be moved without a loss.
    var moves = false
    /// Hops have little memory: they let no more pass than a standard window.
    var isScarce = false
    var windowsGrow = false
    /// Clients' first bytes travel with OPEN.
    var isEarly = false
    /// Hops leave them out.
    var leavesOutEarly = false
}

/// Something that may happen next.
enum ModelStep: Hashable {
    /// The first letter to that side arrives.
    case deliver(Int)
    /// The owner's end has its turn to send.
    case produce(owner: Int, end: Int)
    case acknowledge(Int)
    /// The server of that owner accepts, or refuses.
    case connected(Int, accepts: Bool)
    /// A socket that has blocked takes more.
    case drain(Int)
    /// The earliest time limit is over.
    case deadline
    // What goes wrong
    /// The lane ends; of what is on its way to one of its sides so much arrives.
    case cut(lane: Int, kept: Int)
    /// The client, or the server, resets its connection.
    case fail(Int)
    /// That client's stream is to use another path.
    case move(Int)
}

/// A network made of the state machines alone: what is on its way arrives when the schedule says so.
final class ModelNetwork {
    let plan: ModelPlan
    let pool = BufferPool()
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    let timeouts = ServiceTimeouts(
        connect: .seconds(3),
        idle: .seconds(60),
        halfClosed: .seconds(20)
    )
    let ingress = ProxyID(site: ModelSites.all[0], instance: 1)
    let service = ModelSites.service
    var routes = RouteEjections()
    private(set) var ways: [SiteID: Ways] = [:]
    private(set) var sides: [ModelSide] = []
    private var lanes: [ModelRoute: [Int]] = [:]
    /// How streams have ended at their egress.
    var verdicts: [StreamName: StreamIndex.Verdict] = [:]
    private(set) var clients: [ModelIngress] = []
    /// In the order of their beginning; those that have ended have left.
    private(set) var others: [any ModelOwner] = []
    /// Every server that was connected to, with the stream it was connected for.
    private(set) var servers: [(socket: ModelSocket, client: Int)] = []
    private(set) var endpoints: [ProxyID: EndpointBalancer] = [:]
    private(set) var index = StreamIndex()
    private var names: [StreamName: Int] = [:]
    private var picks: UInt64 = 0
    private(set) var failure: String?
    var wasHurried = false

    struct ModelRoute: Hashable {
        let from: ProxyID
        let to: ProxyID
    }

    var window: Int { plan.window }
    var opensMax: Int { plan.opensMax }
    var isScarce: Bool { plan.isScarce }
    var windowsGrow: Bool { plan.windowsGrow }

    init(_ plan: ModelPlan) {
        self.plan = plan
        var routes: [SiteID: [[ProxyID]]] = [:]
        for (number, way) in plan.ways.enumerated() {
            let egress = ProxyID(site: ModelSites.all[way.site], instance: 1)
            let transits = (0..<way.transits).map {
                ProxyID(site: ModelSites.all[10 + number], instance: UInt64($0 + 1))
            }
            let route = transits + [egress]
            for (from, to) in zip([ingress] + route, route) {
                for _ in 0..<plan.lanesPerHop {
                    lanes[ModelRoute(from: from, to: to), default: []].append(sides.count)
                    sides.append(ModelSide(sides.count, from, self))
                    sides.append(ModelSide(sides.count, to, self))
                }
            }
            routes[egress.site, default: []].append(route)
            makeServers(egress)
        }
        ways = routes.mapValues { Ways(routes: [$0[0]], detours: Array($0.dropFirst())) }
        for client in 0..<plan.clients {
            clients.append(ModelIngress(self, words: Self.words(client, plan.words.client)))
        }
        for client in clients { client.start() }
    }

    private func makeServers(_ egress: ProxyID) {
        var balancer = EndpointBalancer()
        let servers = (0..<plan.servers).map {
            EndpointBalancer.Server(
                endpoint: Endpoint(address: .v4(0x0A00_0001), port: UInt16(80 + $0)),
                isReady: true,
                isServing: true
            )
        }
        balancer.update(servers, at: now)
        endpoints[egress] = balancer
    }

    private static func words(_ speaker: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: speaker * 41 + $0 + 1) }
    }

    // MARK: What owners ask for

    func violate(_ text: String) { failure = failure ?? text }

    func nextName() -> StreamName {
        let name = StreamName(ingress: ingress, number: UInt64(names.count + 1))
        names[name] = 0
        return name
    }

    func note(_ name: StreamName, _ owner: any ModelOwner) {
        // Ingress and egress are different proxies, with an index each; here the ingress's entry is the loop's.
        if let client = clients.firstIndex(where: { $0 === owner }) { names[name] = client }
        if !index.insert(name, place(owner)), !(owner is ModelEgress) {
            violate("two streams have one name")
        }
    }

    func forget(_ name: StreamName, _ owner: any ModelOwner) { index.remove(name, place(owner)) }

    private func place(_ owner: any ModelOwner) -> StreamIndex.Place {
        StreamIndex.Place(loop: 0, seat: 0, stream: ObjectIdentifier(owner))
    }

    func pick(excluding excluded: [SiteID]) -> Pick? {
        let sites = ways.keys.sorted()
        guard let site = sites.first(where: { !excluded.contains($0) }) else { return nil }
        picks += 1
        return Pick(site: site, number: picks, turn: picks)
    }

    func number(of site: SiteID) -> UInt64 {
        UInt64(ways.keys.sorted().firstIndex(of: site) ?? 99)
    }

    /// A lane that is up, and not that one if there is another.
    func side(from: ProxyID, to: ProxyID, ratherThan other: ModelSide? = nil) -> ModelSide? {
        let all = (lanes[ModelRoute(from: from, to: to)] ?? []).map { sides[$0] }
        return all.first { $0.isUp && $0 !== other } ?? all.first { $0.isUp } ?? all.first
    }

    func withServers<Result>(
        _ proxy: ProxyID,
        _ body: (inout EndpointBalancer) -> Result
    ) -> Result {
        guard var balancer = endpoints[proxy] else { preconditionFailure("no servers") }
        defer { endpoints[proxy] = balancer }
        return body(&balancer)
    }

    func makeServer(for name: StreamName) -> ModelSocket {
        let words = Self.words(7 + servers.count, plan.words.server)
        let socket = ModelSocket(words)
        servers.append((socket, names[name] ?? 0))
        return socket
    }

    func remove(_ owner: any ModelOwner) { others.removeAll { $0 === owner } }

    func offset(_ payload: [UInt8]) -> UInt64 {
        payload.withRawSpan { span in (try? DataFrame.offset(span)) ?? .max }
    }

    func decode<Body: Frame>(_ type: Body.Type, _ frame: ModelFrame) -> Body {
        guard let body = frame.payload.withRawSpan({ try? Body.decode($0) }) else {
            preconditionFailure("\(frame.type) does not decode")
        }
        return body
    }
}

/// Made once: searches make thousands of networks.
private enum ModelSites {
    static let all = (0..<20).map { site($0) }
    static let service: ServicePort = {
        guard let service = ServicePort("backend/http") else { preconditionFailure("no name") }
        return service
    }()
}

// MARK: - Steps

extension ModelNetwork {
    var owners: [any ModelOwner] { clients + others }

    /// What may happen without anything going wrong; the passing of time apart.
    var steps: [ModelStep] {
        var steps: [ModelStep] = []
        for side in sides where !side.inbox.isEmpty { steps.append(.deliver(side.index)) }
        for (number, owner) in owners.enumerated() {
            for (place, end) in owner.ends.enumerated()
            where end.side != nil && owner.hasMore(on: end) {
                steps.append(.produce(owner: number, end: place))
            }
            guard let owner = owner as? any ModelSocketOwner else { continue }
            if owner.isAcknowledgingSoon { steps.append(.acknowledge(number)) }
            if owner.canDrain { steps.append(.drain(number)) }
            if let egress = owner as? ModelEgress, egress.isConnecting {
                steps.append(.connected(number, accepts: true))
            }
        }
        return steps
    }

    /// What may go wrong now.
    var faults: [ModelStep] {
        var faults: [ModelStep] = []
        for lane in 0..<sides.count / 2 where plan.hasCuts && sides[2 * lane].isWhole {
            let most = max(sides[2 * lane].inbox.count, sides[2 * lane + 1].inbox.count)
            faults.append(.cut(lane: lane, kept: 0))
            if most > 0 { faults.append(.cut(lane: lane, kept: most)) }
        }
        for (number, owner) in owners.enumerated() where plan.hasFailures {
            if let egress = owner as? ModelEgress, egress.connecting != nil {
                faults.append(.connected(number, accepts: false))
            }
            if let owner = owner as? any ModelSocketOwner, let socket = owner.socket,
                !socket.hasFailed, socket.closedInOrder == nil
            {
                faults.append(.fail(number))
            }
        }
        if plan.moves {
            for (number, client) in clients.enumerated() where client.canMove {
                faults.append(.move(number))
            }
        }
        return faults
    }

    var nextDeadline: Instant? { owners.compactMap(\.nextDeadline).min() }

    func perform(_ step: ModelStep, chunk: Int? = nil) {
        switch step {
        case .deliver(let side): deliver(sides[side])
        case .produce(let owner, let end):
            let owner = owners[owner]
            owner.produce(on: owner.ends[end], atMost: chunk ?? plan.chunk)
        case .acknowledge(let owner): (owners[owner] as? any ModelSocketOwner)?.acknowledgeNow()
        case .connected(let owner, let accepts):
            (owners[owner] as? ModelEgress)?.connected(accepts)
        case .drain(let owner):
            guard let owner = owners[owner] as? any ModelSocketOwner else { return }
            owner.socket?.appetite = .max
            owner.drain()
        case .deadline:
            guard let deadline = nextDeadline else { return }
            if !steps.isEmpty { wasHurried = true }
            now = max(now, deadline)
            for owner in owners where owner.nextDeadline.map({ $0 <= now }) ?? false {
                owner.deadline()
            }
        case .cut(let lane, let kept):
            sides[2 * lane].breakOff(after: kept)
            sides[2 * lane + 1].breakOff(after: kept)
        case .move(let client): clients[client].move()
        case .fail(let owner): (owners[owner] as? any ModelSocketOwner)?.socketFailed()
        }
    }

    /// Lets time pass that is no time limit's.
    func wait(_ time: Duration) {
        let then = now + time
        now = nextDeadline.map { min($0, then) } ?? then
    }

    private func deliver(_ side: ModelSide) {
        switch side.inbox.removeFirst() {
        case .closed:
            side.isUp = false
            side.isWhole = false
            for end in side.table.removeAll() {
                end.lost()
                end.owner.pathLost(end)
            }
        case .frame(let frame) where frame.type == .open: open(frame, side)
        case .frame(let frame) where frame.type == .resume: resume(frame, side)
        case .frame(let frame):
            guard let end = side.table.find(frame.label) else { return }
            // Law 6.
            if end.name != frame.name { violate("a frame of \(frame.name) came to \(end.name)") }
            if frame.type == .detached {
                end.detach()
                return end.owner.pathLost(end)
            }
            end.owner.receive(frame, on: end)
        }
    }

    /// A hop, or the egress, takes a stream, or refuses it.
    private func open(_ frame: ModelFrame, _ side: ModelSide) {
        var open = decode(Open.self, frame)
        guard let own = open.route.firstIndex(of: side.proxy) else { return violate("astray") }
        guard own + 1 < open.route.count else {
            let stream = ModelEgress(open, at: side.proxy, self)
            others.append(stream)
            stream.ownEnd.accept(on: side, label: frame.label)
            return stream.start()
        }
        if plan.leavesOutEarly { open.early = [] }
        let stream = ModelTransit(open, at: side.proxy, self)
        guard let next = self.side(from: side.proxy, to: open.route[own + 1]),
            stream.outer.open(on: next)
        else {
            let refused = Refused(by: side.proxy, reason: .noRoute)
            let label = frame.label | StreamLabel.answerBit
            return side.send(.refused, label: label, refused.encoded, of: open.name)
        }
        others.append(stream)
        stream.inner.accept(on: side, label: frame.label)
        stream.outer.send(.open, open.encoded)
    }
}

extension ModelNetwork {
    /// A hop passes it on, the egress goes on with the stream, or somebody refuses it.
    private func resume(_ frame: ModelFrame, _ side: ModelSide) {
        let resume = decode(Resume.self, frame)
        guard let own = resume.route.firstIndex(of: side.proxy) else { return violate("astray") }
        let refusal: Refused.Reason?
        if own + 1 == resume.route.count {
            let stream = others.lazy.compactMap { $0 as? ModelEgress }
                .first { $0.name == resume.name && $0.proxy == side.proxy }
            refusal =
                if let stream {
                    stream.resume(resume, on: side, label: frame.label)
                } else {
                    verdicts[resume.name]?.refusal ?? .unknownStream
                }
        } else {
            let stream = ModelTransit(resume, at: side.proxy, self)
            if let next = self.side(from: side.proxy, to: resume.route[own + 1]),
                stream.outer.open(on: next)
            {
                others.append(stream)
                stream.inner.accept(on: side, label: frame.label)
                stream.outer.send(.resume, resume.encoded)
                refusal = nil
            } else {
                refusal = .noRoute
            }
        }
        guard let refusal else { return }
        let label = frame.label | StreamLabel.answerBit
        let refused = Refused(by: side.proxy, reason: refusal)
        side.send(.refused, label: label, refused.encoded, of: resume.name)
    }
}
