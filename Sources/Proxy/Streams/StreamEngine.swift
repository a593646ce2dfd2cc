import NetworkModel
import Streaming
import Wire

/// The streams of one loop: clients, servers and what passes through.
final class StreamEngine: EventHandler {
    /// How long an acknowledgment may wait for a frame to go along with.
    private static let lazyDelay: Duration = .milliseconds(100)

    let loop: EventLoop
    let plane: StreamPlane
    let pool = BufferPool()
    private(set) var view: DataPlaneView
    /// The pools of rings that are drawn from a site's account.
    private var pools: [SiteID: BufferPool] = [:]
    private(set) var carriers: [ProxyID: [StreamCarrier]] = [:]
    private var bridges: [Int: LoopBridge] = [:]
    private var streams = Seats<any StreamOwner>()
    private var lazy: [any SocketStream] = []
    /// Of all receivers.
    var grantedWindows = 0
    var memory: Memory { didSet { follow(memory) } }
    /// Streams that wait for memory to read.
    var starved: [any SocketStream] = []
    /// The youngest streams are about to be reset.
    var isRelieving = false
    /// How many streams began.
    private var begun: UInt64 = 0
    private let silenceLimit: Duration
    /// How long a stream in transit may be without an answer: longer than any ingress waits, which says when it gives up.
    let answerLimit: Duration
    private var watchesSilence = false
    /// For how long streams may be without a path, unless their carrier says otherwise.
    let resumeGrace: Duration
    /// Nearer neighbors get no lane for bulk, and streams to them begin with smaller windows.
    ///
    /// There, bulk is as fast as the processors, and lanes of its own would take turns with those of requests that one lane
    /// leaves to them.
    let bulkDistance: Duration
    /// Streams without a path, numbered in the order in which they lost it.
    private var detached: [ObjectIdentifier: (loss: UInt64, stream: any StreamOwner)] = [:]
    private var losses: UInt64 = 0
    private var looksAtWays = false

    init(
        loop: EventLoop,
        view: DataPlaneView,
        plane: StreamPlane,
        silenceLimit: Duration = PeerSilence.limit,
        answerLimit: Duration = .seconds(65),
        resumeGrace: Duration = ResumeGrace.standard,
        bulkDistance: Duration = .milliseconds(2),
        memory: Memory = Memory()
    ) {
        self.bulkDistance = bulkDistance
        self.resumeGrace = resumeGrace
        self.answerLimit = answerLimit
        self.memory = memory
        self.silenceLimit = silenceLimit
        self.loop = loop
        self.view = view
        self.plane = plane
        follow(memory)
        // Letters of other loops' bridges find it there.
        loop.setLocal(self)
        // To be told of the loop's end.
        _ = loop.register(self)
    }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {}

    func loopEnded() {
        for stream in streams.all { stream.abandon() }
        streams.removeAll()
        detached = [:]
        lazy = []
        starved = []
    }

    func update(_ view: DataPlaneView) { self.view = view }

    /// Clients, servers and streams in transit.
    var streamCount: Int { streams.count }

    /// What is under way here.
    var owners: [any StreamOwner] { streams.all }

    /// Has every client's connection tell its service what was moved.
    func tellMoved() {
        for (index, stream) in owners.enumerated() {
            stream.tellMoved()
            if index % 256 == 255 { loop.breathe() }
        }
    }

    /// Bytes that rings hold, and relays whose target takes nothing.
    var heldBytes: HeldBytes { HeldBytes(rings: pool.used, relays: loop.buffers.keptCount) }

    /// Whether this client, accepted at `local`, is a connection of this proxy to a server: that one is tried no more.
    func comesBack(_ client: Endpoint, at local: @autoclosure () -> Endpoint?) -> Bool {
        guard let owner = plane.ownSockets.owner(from: client, to: local()) else { return false }
        owner.service.leadsToItself(owner.server, at: loop.now)
        return true
    }

    /// Resets every stream.
    func resetAll() {
        for (index, stream) in streams.all.enumerated() {
            stream.shutDown()
            if index % 64 == 63 { loop.breathe() }
        }
    }

    /// Resets the clients and the servers of these service ports: they were taken out.
    func reset(_ services: Set<ServicePort>) {
        for stream in streams.all {
            if let service = stream.servicePort, services.contains(service) { stream.shutDown() }
        }
    }

    /// These have ended for certain: streams that wait for them need not.
    func proxiesEnded(_ proxies: Set<ProxyID>) {
        for (index, stream) in streams.all.enumerated() {
            stream.proxiesEnded(proxies)
            if index % 64 == 63 { loop.breathe() }
        }
    }

    func add(_ stream: any StreamOwner) {
        begun += 1
        stream.number = begun
        stream.seat = streams.add(stream)
        watchSilence()
    }

    /// Looks after vanished clients and servers for as long as there are streams.
    private func watchSilence() {
        guard !watchesSilence, !streams.isEmpty else { return }
        watchesSilence = true
        loop.schedule(after: silenceLimit / 3) { [unowned self] _ in
            checkSilence(streams.all[...])
        }
    }

    /// A few at a time: each costs system calls.
    private func checkSilence(_ streams: ArraySlice<any StreamOwner>) {
        for stream in streams.prefix(Self.silenceSlice) { stream.endIfSilent(for: silenceLimit) }
        let rest = streams.dropFirst(Self.silenceSlice)
        guard rest.isEmpty else {
            loop.schedule(after: .milliseconds(1)) { [unowned self] _ in checkSilence(rest) }
            return
        }
        watchesSilence = false
        watchSilence()
    }

    private static let silenceSlice = 64

    /// The stream has ended.
    func remove(_ stream: any StreamOwner) {
        if streams[stream.seat] === stream { streams.remove(at: stream.seat) }
        if !detached.isEmpty { detached[ObjectIdentifier(stream)] = nil }
    }

    // MARK: Names

    /// From now on a RESUME may name this one.
    func insert(_ name: StreamName, _ stream: any StreamOwner) {
        plane.names.insert(name, place(stream))
    }

    func remove(_ name: StreamName, _ stream: any StreamOwner) {
        plane.names.remove(name, place(stream))
    }

    /// The stream has ended in that way, which a RESUME of it is told for a while.
    func bury(
        _ name: StreamName,
        _ stream: any StreamOwner,
        _ verdict: StreamIndex.Verdict,
        grace: Duration
    ) {
        let now = loop.now
        // As long as an ingress may ask.
        let until = now + grace + grace / 4
        plane.names.bury(name, place(stream), verdict, until: until, at: now)
    }

    private func place(_ stream: any StreamOwner) -> StreamIndex.Place {
        StreamIndex.Place(
            loop: loop.index,
            seat: stream.seat,
            stream: ObjectIdentifier(stream)
        )
    }

    /// Nil when it has ended.
    func stream(at place: StreamIndex.Place) -> (any StreamOwner)? {
        guard let stream = streams[place.seat],
            ObjectIdentifier(stream) == place.stream
        else { return nil }
        return stream
    }

    // MARK: Streams without a path

    /// `stream` has lost its path, or has one again.
    func note(_ stream: any StreamOwner, isDetached: Bool) {
        let key = ObjectIdentifier(stream)
        if isDetached, detached[key] == nil {
            losses += 1
            detached[key] = (losses, stream)
        } else if !isDetached, !detached.isEmpty {
            detached[key] = nil
        }
    }

    var detachedCount: Int { detached.count }

    /// There is another lane: a few at a time look whether it leads back.
    private func retryDetached() {
        guard !detached.isEmpty else { return }
        slowly(detached.values.map(\.stream)[...]) { $0.retry() }
    }

    /// Calls `body` for some streams in each turn; those may have ended by then.
    private func slowly(
        _ streams: ArraySlice<any StreamOwner>,
        _ body: @escaping (any StreamOwner) -> Void
    ) {
        guard !streams.isEmpty else { return }
        loop.schedule(after: .milliseconds(1)) { [unowned self] _ in
            for stream in streams.prefix(Self.moveSlice) { body(stream) }
            slowly(streams.dropFirst(Self.moveSlice), body)
        }
    }

    private static let moveSlice = 16
    /// For routing to settle.
    private static let waysDelay: Duration = .milliseconds(200)

    /// The path of these is about to end.
    func move(_ streams: [any StreamOwner]) { slowly(streams[...]) { $0.move(isLeaving: true) } }

    /// Those whose ways have changed are looked at, and all others too: it costs less than to know which they are.
    func waysChanged() {
        guard !looksAtWays else { return }
        looksAtWays = true
        loop.schedule(after: Self.waysDelay) { [unowned self] _ in
            looksAtWays = false
            plane.looksAtWays()
            slowly(streams.all[...]) { $0.move(isLeaving: false) }
        }
    }

    /// False when there is none.
    func resetYoungestDetached() -> Bool {
        guard let youngest = detached.max(by: { $0.value.loss < $1.value.loss }) else {
            return false
        }
        detached[youngest.key] = nil
        youngest.value.stream.shutDown()
        return true
    }

    // MARK: Carriers

    /// A lane to `neighbor` is ready for streams.
    func attach(
        _ conduit: any FrameConduit,
        neighbor: ProxyID,
        isSidecar: Bool,
        knowsResume: Bool,
        knowsEarly: Bool,
        isBulk: Bool = false
    ) -> StreamCarrier {
        let carrier = StreamCarrier(
            conduit,
            neighbor: neighbor,
            isSidecar: isSidecar,
            isBridge: false,
            knowsResume: knowsResume,
            knowsEarly: knowsEarly,
            isBulk: isBulk,
            engine: self
        )
        carriers[neighbor, default: []].append(carrier)
        // Other loops send nothing over a lane for bulk.
        if isBulk {
            bulkLaneAdded(to: neighbor)
        } else {
            plane.laneAdded(to: neighbor, loop: loop.index)
        }
        retryDetached()
        return carrier
    }

    /// For `StreamCarrier.closed` only.
    func carrierClosed(_ carrier: StreamCarrier) {
        guard !carrier.isBridge else { return }
        carriers[carrier.neighbor]?.removeAll { $0 === carrier }
        if carriers[carrier.neighbor]?.isEmpty == true { carriers[carrier.neighbor] = nil }
        if !carrier.isRetired { carrierRetired(carrier) }
    }

    /// It takes no new streams any more.
    func carrierRetired(_ carrier: StreamCarrier) {
        guard !carrier.isBridge, !carrier.isBulk else { return }
        plane.laneRemoved(to: carrier.neighbor, loop: loop.index)
    }

    /// The lane of this loop to `neighbor` with the fewest streams, or a bridge to a loop that has one; `isBulk`: a lane for
    /// bulk if there is one.
    func carrier(to neighbor: ProxyID, mayBridge: Bool, isBulk: Bool = false) -> StreamCarrier? {
        if isBulk, let lane = bulkCarrier(to: neighbor) { return lane }
        let lanes = carriers[neighbor] ?? []
        let staying = lanes.lazy.filter { !$0.isRetired && !$0.isBulk }
        if let lane = staying.min(by: { $0.activeStreams < $1.activeStreams }) { return lane }
        guard mayBridge,
            let other = plane.loop(
                to: neighbor,
                but: loop.index,
                number: UInt64(truncatingIfNeeded: streams.count)
            )
        else {
            let last = lanes.contains { !$0.isRetired } ? lanes.filter { !$0.isRetired } : lanes
            return last.min { $0.activeStreams < $1.activeStreams }
        }
        return bridge(to: other).carrier
    }

    // MARK: Bridges

    /// The bridge to another loop, made when there is none.
    func bridge(to index: Int) -> LoopBridge {
        // One that was closed by a fault carries nothing any more.
        if let bridge = bridges[index], !bridge.carrier.isClosed { return bridge }
        let bridge = LoopBridge(to: index, engine: self)
        bridges[index] = bridge
        return bridge
    }

    /// Frames from the bridge of another loop.
    func deliver(_ bytes: [UInt8], from index: Int, _ meter: BridgeMeter) {
        bridge(to: index).deliver(bytes, meter)
    }

    /// The other end has closed the bridge.
    func bridgeWasClosed(to index: Int) {
        bridges.removeValue(forKey: index)?.end()
    }

    /// The other loop has caught up.
    func bridgeHasRoom(to index: Int) { bridges[index]?.requestData() }

    // MARK: Acknowledgments

    /// Calls `acknowledgeNow` soon, together with others.
    func acknowledgeLazily(_ stream: any SocketStream) {
        lazy.append(stream)
        guard lazy.count == 1 else { return }
        loop.schedule(after: Self.lazyDelay) { [unowned self] _ in
            let due = lazy
            lazy = []
            for (index, stream) in due.enumerated() {
                stream.acknowledgeNow()
                if index % 64 == 63 { loop.breathe() }
            }
        }
    }

    /// The pool of this loop for rings that are drawn from `account`.
    func pool(of account: NeighborAccount) -> BufferPool {
        if let known = pools[account.site] { return known }
        let made = BufferPool(drawingFrom: pool, account: account)
        pools[account.site] = made
        return made
    }

    /// The streams of the greatest numbers.
    func youngest(_ count: Int) -> [any StreamOwner] {
        Array(streams.all.sorted { $0.number > $1.number }.prefix(count))
    }
}
