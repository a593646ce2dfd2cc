import Balancing
import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import SiteControl
import Streaming
import Synchronization
import TLS
import Testing
import Wire

@testable import Proxy

let loopback = IPAddress.v4(0x7F00_0001)

/// Waits until `condition` holds; false when it did not within `limit`.
func eventually(within limit: Duration = .seconds(20), _ condition: () -> Bool) -> Bool {
    let end = EventLoop.clock() + limit
    while !condition() {
        guard EventLoop.clock() < end else { return false }
        usleep(2_000)
    }
    return true
}

extension SharedService {
    /// The server that a connection would try first.
    func pickServer(excluding excluded: [Endpoint] = [], at now: Instant) -> ServerPick? {
        var attempts = ServerAttempts(excluding: excluded, within: .seconds(1), at: now)
        guard case .connect(let server, within: _) = nextServer(&attempts, at: now) else {
            return nil
        }
        return server
    }
}

extension EventLoopThread {
    /// Runs `body` on the loop and waits for its answer.
    func run<Answer: Sendable>(
        _ body: @escaping @Sendable (EventLoop) throws -> Answer
    ) throws -> Answer {
        let answer = Mutex<Result<Answer, any Error>?>(nil)
        let box = Box(answer)
        mailbox.post { loop in
            let result = Result { try body(loop) }
            box.value.withLock { $0 = result }
        }
        _ = eventually { box.value.withLock { $0 != nil } }
        return try #require(box.value.withLock { $0 }).get()
    }

    private final class Box<Answer: Sendable>: Sendable {
        let value: Mutex<Result<Answer, any Error>?>
        init(_ value: consuming Mutex<Result<Answer, any Error>?>) { self.value = value }
    }
}

/// One proxy without a control plane: loops with stream engines, lanes without HELLO, views made by hand.
final class TestProxy: Sendable {
    static let backend: ServicePort = {
        guard let service = ServicePort("backend/http") else { preconditionFailure() }
        return service
    }()

    let site: FixtureSite
    let id: ProxyID
    let isSidecar: Bool
    let threads: [EventLoopThread]
    let plane: StreamPlane
    let shared: SharedService
    private let context: TLSContext
    private let view: Mutex<DataPlaneView>

    init(
        _ site: FixtureSite,
        instance: UInt64 = 1,
        loops: Int = 1,
        isSidecar: Bool = false,
        connect: Duration = .seconds(3),
        idle: Duration = .seconds(60),
        halfClosed: Duration = .seconds(60),
        silence: Duration = PeerSilence.limit,
        answer: Duration = .seconds(65),
        grace: Duration = .seconds(1),
        bulkDistance: Duration = .zero,
        memory: StreamEngine.Memory = StreamEngine.Memory()
    ) throws {
        self.site = site
        self.isSidecar = isSidecar
        id = ProxyID(site: site.id, instance: instance)
        context = try site.context(isSidecar ? .sidecar : .gateway)
        threads = try (0..<loops).map { try EventLoopThread(index: $0) }
        plane = StreamPlane(
            mailboxes: threads.map(\.mailbox),
            accounts: NeighborAccounts(own: site.id)
        )
        shared = SharedService(service: Self.backend, sockets: plane.ownSockets) {}
        let view = DataPlaneView(
            proxy: id,
            isSidecar: isSidecar,
            services: [
                Self.backend: ServiceEntry(
                    shared: shared,
                    timeouts: ServiceTimeouts(
                        connect: connect,
                        idle: idle,
                        halfClosed: halfClosed
                    )
                )
            ],
            keys: KeyRing(),
            isDraining: false
        )
        self.view = Mutex(view)
        let plane = plane
        for thread in threads {
            try thread.run { loop in
                _ = StreamEngine(
                    loop: loop,
                    view: view,
                    plane: plane,
                    silenceLimit: silence,
                    answerLimit: answer,
                    resumeGrace: grace,
                    bulkDistance: bulkDistance,
                    memory: memory
                )
            }
        }
    }

    func stop() { for thread in threads { thread.stop() } }

    /// Changes what all loops see.
    func publish(_ change: (inout DataPlaneView) -> Void) throws {
        let view = view.withLock { view in
            change(&view)
            return view
        }
        for thread in threads {
            try thread.run { loop in loop.local(StreamEngine.self)?.update(view) }
        }
    }

    /// Shares a MAC key with each of `others`.
    func knows(_ others: [TestProxy]) throws {
        var keys: [ProxyID: [UInt8]] = [:]
        for other in others {
            let pair = [id, other.id].sorted().map(\.description).joined()
            keys[other.id] = Crypto.sha256(Array(pair.utf8))
        }
        let ring = KeyRing(keys)
        try publish { $0.keys = ring }
    }

    func key(for other: ProxyID) -> [UInt8]? { view.withLock { $0.keys.key(for: other) } }

    struct Way {
        let site: SiteID
        let cost: UInt32
        let route: [ProxyID]
        var detours: [[ProxyID]] = []
    }

    /// The targets of the service, by cost and route; an empty route is this proxy itself.
    func targets(_ ways: [Way]) throws {
        var bySite: [SiteID: Ways] = [:]
        for way in ways where !way.route.isEmpty {
            bySite[way.site] = Ways(routes: [way.route], detours: way.detours)
        }
        shared.update(
            targets: ways.map {
                Target(site: $0.site, reach: .usable(cost: PathCost($0.cost), endpoints: 1))
            },
            ways: bySite,
            at: EventLoop.clock()
        )
    }

    func servers(_ ports: [UInt16]) {
        shared.update(
            servers: ports.map {
                EndpointBalancer.Server(
                    endpoint: Endpoint(address: loopback, port: $0),
                    isReady: true,
                    isServing: true
                )
            },
            at: id.site,
            now: EventLoop.clock()
        )
    }

    /// Listens for clients on every loop; the port.
    func listen() throws -> UInt16 {
        var port: UInt16 = 0
        for thread in threads {
            let wanted = port
            port = try thread.run { loop in
                let listener = try Listener(
                    address: loopback,
                    port: wanted,
                    purpose: .service,
                    on: loop
                ) { socket, client in
                    loop.local(StreamEngine.self)?
                        .accepted(socket, service: Self.backend, client: client)
                }
                loop.setLocal(listener)
                return listener.endpoint.port
            }
        }
        return port
    }

    /// Dials `other` from one loop to one of its loops, and waits until streams can be opened.
    ///
    /// A mute neighbor keeps its lane up and answers no stream.
    func link(
        to other: TestProxy,
        loop: Int = 0,
        otherLoop: Int = 0,
        isMute: Bool = false,
        knowsResume: Bool = true,
        knowsEarly: Bool = true,
        isBulk: Bool = false
    ) throws {
        let (own, far, context) = (id, other.id, context)
        let (isSidecar, farContext) = (isSidecar, other.context)
        // No test here waits for silence, and a busy machine must not look like it.
        let health = HealthParameters(heartbeat: .milliseconds(250), misses: 20)
        let isUp = Mutex(0)
        let count = Counter(isUp)
        let port = try other.threads[otherLoop].run { loop -> UInt16 in
            let listener = try Listener(address: loopback, port: 0, purpose: .lane, on: loop) {
                socket,
                remote in
                let session = TestSession(
                    own,
                    isSidecar: isSidecar,
                    isMute: isMute,
                    knowsResume: knowsResume,
                    knowsEarly: knowsEarly,
                    isBulk: isBulk,
                    on: loop,
                    count
                )
                session.lane = Lane(
                    accepting: socket,
                    from: remote,
                    Lane.Parameters(context: farContext, health: health),
                    delegate: session,
                    on: loop
                )
            }
            loop.local(Sessions.self, orMake: Sessions()).listeners.append(listener)
            return listener.endpoint.port
        }
        try threads[loop].run { loop in
            let session = TestSession(
                far,
                isSidecar: false,
                knowsResume: knowsResume,
                knowsEarly: knowsEarly,
                isBulk: isBulk,
                on: loop,
                count
            )
            session.lane = Lane(
                dialing: Endpoint(address: loopback, port: port),
                Lane.Parameters(context: context, health: health),
                delegate: session,
                on: loop
            )
        }
        try #require(eventually { count.value.withLock { $0 } == 2 })
    }

    /// Ends every lane of this proxy, or every one to a neighbor.
    func cutLanes(
        to neighbor: ProxyID? = nil,
        _ code: CloseCode = .shutdown,
        onlyBulk: Bool = false
    ) throws {
        for thread in threads {
            try thread.run { loop in
                for session in loop.local(Sessions.self, orMake: Sessions()).all
                where (neighbor == nil || session.neighbor == neighbor)
                    && (!onlyBulk || session.carrier?.isBulk == true)
                {
                    session.lane?.close(LaneClosing(code))
                }
            }
        }
    }

    /// Retires the lane of loop 0 to a neighbor that came first; gives what crosses it.
    func retireLane(to neighbor: ProxyID) throws -> @Sendable () throws -> UInt64 {
        let thread = threads[0]
        @Sendable func first(_ loop: EventLoop) -> StreamCarrier? {
            loop.local(Sessions.self, orMake: Sessions()).all
                .first { $0.neighbor == neighbor }?.carrier
        }
        try thread.run { loop in first(loop)?.retire() }
        return { try thread.run { loop in first(loop)?.activeStreams ?? 99 } }
    }

    /// How many streams cross the lanes to `neighbor`: ordinary ones, and each for bulk.
    func crossing(to neighbor: ProxyID) throws -> (ordinary: UInt64, bulk: [UInt64]) {
        try threads.indices.reduce(into: (0, [])) { sum, index in
            let lanes = try withEngine(loop: index) { engine in
                (engine.carriers[neighbor] ?? []).map { ($0.isBulk, $0.activeStreams) }
            }
            for (isBulk, count) in lanes {
                if isBulk { sum.bulk.append(count) } else { sum.ordinary += count }
            }
        }
    }

    /// Runs `body` with the engine of a loop.
    func withEngine<Answer: Sendable>(
        loop index: Int = 0,
        _ body: @escaping @Sendable (StreamEngine) throws -> Answer
    ) throws -> Answer {
        try threads[index].run { loop in try body(#require(loop.local(StreamEngine.self))) }
    }

    var streamCount: Int {
        get throws {
            try threads.indices.reduce(0) { try $0 + withEngine(loop: $1) { $0.streamCount } }
        }
    }

    var ringBytes: Int {
        get throws {
            try threads.indices.reduce(0) { try $0 + withEngine(loop: $1) { $0.pool.used } }
        }
    }

    /// Nothing of any stream is left.
    var isEmpty: Bool {
        get throws {
            let isRestful = try streamCount == 0 && ringBytes == 0
            return isRestful && plane.names.count == 0 && shared.ownCounts.isEmpty && shared.isIdle
        }
    }
}

final class Counter: Sendable {
    let value: Mutex<Int>
    init(_ value: consuming Mutex<Int>) { self.value = value }
}

/// What a loop keeps of the lanes of a test.
final class Sessions {
    var all: [TestSession] = []
    var listeners: [Listener] = []
}

extension EventLoop {
    func local<Object: AnyObject>(
        _ type: Object.Type,
        orMake make: @autoclosure () -> Object
    ) -> Object {
        if let object = local(type) { return object }
        let object = make()
        setLocal(object)
        return object
    }
}

/// A lane whose neighbor is known beforehand.
final class TestSession: LaneDelegate {
    var lane: Lane?
    private(set) var carrier: StreamCarrier?
    let neighbor: ProxyID
    private let isSidecar: Bool
    private let isMute: Bool
    private let knowsResume: Bool
    private let knowsEarly: Bool
    private let isBulk: Bool
    private let loop: EventLoop
    private let count: Counter

    init(
        _ neighbor: ProxyID,
        isSidecar: Bool,
        isMute: Bool = false,
        knowsResume: Bool = true,
        knowsEarly: Bool = true,
        isBulk: Bool = false,
        on loop: EventLoop,
        _ count: Counter
    ) {
        self.isBulk = isBulk
        self.isMute = isMute
        self.knowsResume = knowsResume
        self.knowsEarly = knowsEarly
        self.neighbor = neighbor
        self.isSidecar = isSidecar
        self.loop = loop
        self.count = count
        loop.local(Sessions.self, orMake: Sessions()).all.append(self)
    }

    func laneEstablished(_ lane: Lane) {
        count.value.withLock { $0 += 1 }
        guard !isMute else { return }
        carrier = loop.local(StreamEngine.self)?
            .attach(
                lane,
                neighbor: neighbor,
                isSidecar: isSidecar,
                knowsResume: knowsResume,
                knowsEarly: knowsEarly,
                isBulk: isBulk
            )
    }

    func lane(_ lane: Lane, received type: UInt8, label: UInt32, payload: RawSpan) {
        guard let type = FrameType(rawValue: type) else { return }
        carrier?.received(type, label: label, payload)
    }

    func laneProduceData(_ lane: Lane, into buffer: inout FrameBuffer, limit: Int) -> Bool {
        carrier?.produceData(into: &buffer, limit: limit) ?? false
    }

    func laneClosed(_ lane: Lane, _ reason: LaneCloseReason) {
        carrier?.closed(isRevoked: reason.isRevocation)
        carrier = nil
        self.lane = nil
    }
}
