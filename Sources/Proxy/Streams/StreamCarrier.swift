import NetworkModel
import Streaming
import Wire

/// The streams of one conduit: their labels, and whose turn it is to send.
///
/// Deficit round robin, as in fq_codel: streams that have become ready go first, once, then take turns with the busy ones;
/// one that has nothing more after its first turn waits for its place among the busy ones before it can be fresh again,
/// so that streams which are ever fresh leave the others theirs. A turn is at most one frame of 64 KiB, since each
/// costs the far end a system call, and half of that while fresh ones wait.
final class StreamCarrier {
    private static let longQuantum = FrameHeader.maximumData + 64
    private static let shortQuantum = 32 * 1024
    /// What is sent at once where several share the conduit; one that is alone fills what it is lent, for fewer turns.
    private static let sharedBatch = 128 * 1024
    /// Less room than this is not given to a stream.
    private static let minimumRoom = 1_024
    /// Streams between two looks at the clock.
    private static let endsPerLook = 8
    /// From this length on frames count towards bulk: requests and their answers are shorter.
    private static let longFrame = 4_000
    /// So much within `bulkSpan` is bulk.
    private static let bulkBytes: Int32 = 512 << 10
    /// In units of `bulkTime`: some ten seconds.
    private static let bulkSpan: UInt32 = 9

    let conduit: any FrameConduit
    /// Who is at the other end; this proxy itself for a bridge between loops.
    let neighbor: ProxyID
    let isSidecar: Bool
    let isBridge: Bool
    /// The neighbor knows DETACHED, RESUME and RESUMED.
    let knowsResume: Bool
    /// The neighbor reads the client's first bytes in OPEN.
    let knowsEarly: Bool
    /// For streams that have proved bulky; others take it only when there is nothing else.
    let isBulk: Bool
    /// Has a lane for bulk dialed beside this one; nil where there is none to be had.
    var dialBulkLane: (() -> Void)?
    private var askedForBulkAt: Instant?
    private static let bulkAskInterval: Duration = .seconds(1)
    /// Of the neighbor's site; what it opens is drawn from there.
    let account: NeighborAccount
    private unowned let engine: StreamEngine
    private var labels = LabelTable<StreamEnd>()
    private var fresh = StreamEndQueue()
    private var busy = StreamEndQueue()
    /// Streams in transit that have an acknowledgment to pass on: each has one place, however many came for it.
    private var owing: [StreamEnd] = []
    private(set) var isClosed = false
    /// It carries its streams to the end; new ones get it only while the neighbor has no other.
    private(set) var isRetired = false
    /// How long its streams wait for another path when it is lost.
    var resumeGrace: Duration
    /// Streams that ever crossed it.
    private(set) var openedStreams: UInt64 = 0

    init(
        _ conduit: any FrameConduit,
        neighbor: ProxyID,
        isSidecar: Bool,
        isBridge: Bool,
        knowsResume: Bool,
        knowsEarly: Bool,
        isBulk: Bool = false,
        engine: StreamEngine
    ) {
        self.conduit = conduit
        self.neighbor = neighbor
        self.isSidecar = isSidecar
        self.isBridge = isBridge
        self.knowsResume = knowsResume
        self.knowsEarly = knowsEarly
        self.isBulk = isBulk
        resumeGrace = engine.resumeGrace
        account = engine.plane.accounts.account(of: neighbor.site)
        self.engine = engine
    }

    /// Streams that cross it now.
    var activeStreams: UInt64 { UInt64(labels.count) }

    func retire() {
        guard !isRetired, !isClosed else { return }
        isRetired = true
        engine.carrierRetired(self)
        engine.move(labels.all.map(\.owner))
    }

    // MARK: Labels

    /// Gives `end` a label of this side's choice; false when there is none left, or too much waits for the neighbor.
    func open(_ end: StreamEnd) -> Bool {
        guard !isClosed, !conduit.isBacklogged, let label = labels.open(end) else { return false }
        end.attach(to: self, label: label)
        openedStreams += 1
        return true
    }

    /// Gives `end` the label that the neighbor chose in its OPEN.
    func accept(_ end: StreamEnd, label: UInt32) {
        guard let (answer, replaced) = labels.accept(label, end) else { return }
        // The neighbor has forgotten that stream: so must this side.
        if let replaced {
            replaced.detach()
            replaced.owner.pathLost(replaced, grace: .zero)
        }
        end.attach(to: self, label: answer)
        openedStreams += 1
    }

    /// For `StreamEnd.detach` only.
    func remove(_ end: StreamEnd) {
        labels.remove(end, label: end.label)
        takeOut(end)
    }

    /// For `StreamEnd.takePlace` only.
    func replace(_ old: StreamEnd, by new: StreamEnd) {
        takeOut(old)
        labels.replace(old, by: new, label: old.label)
    }

    private func takeOut(_ end: StreamEnd) {
        switch end.line {
        case .none: break
        case .fresh: fresh.remove(end)
        case .busy: busy.remove(end)
        }
        end.line = .none
    }

    // MARK: Receiving

    /// Takes one frame of a stream from the neighbor; `payload` is valid during the call only.
    func received(_ type: FrameType, label: UInt32, _ payload: RawSpan) {
        guard !isClosed else { return }
        do throws(WireError) {
            if type == .open {
                try engine.receive(Open.decode(payload), label: label, from: self)
            } else if type == .resume {
                try engine.receive(Resume.decode(payload), label: label, from: self)
            } else if let end = labels.find(label) {
                try deliver(type, payload, to: end)
            }
        } catch {
            conduit.close(LaneClosing(.protocolError, "\(type): \(error)"))
        }
    }

    private func deliver(
        _ type: FrameType,
        _ payload: RawSpan,
        to end: StreamEnd
    ) throws(WireError) {
        switch type {
        case .data:
            let offset = try DataFrame.offset(payload)
            attempt(end) { (end) throws(StreamViolation) in
                try end.owner.receive(data: payload, at: offset, on: end)
            }
            if payload.byteCount >= Self.longFrame { count(payload.byteCount, of: end) }
        case .acknowledgment:
            let frame = try Acknowledgment.decode(payload)
            attempt(end) { (end) throws(StreamViolation) in
                try end.owner.receive(frame, on: end)
            }
        case .fin:
            let frame = try Fin.decode(payload)
            attempt(end) { (end) throws(StreamViolation) in
                try end.owner.receive(frame, on: end)
            }
        case .opened: end.owner.receive(.opened(try Opened.decode(payload)), on: end)
        case .resumed: end.owner.receive(.resumed(try Resumed.decode(payload)), on: end)
        case .detached:
            _ = try Detached.decode(payload)
            end.detach()
            end.owner.pathLost(end, grace: resumeGrace)
        case .refused: end.owner.receive(.refused(try Refused.decode(payload)), on: end)
        case .cancel:
            _ = try Cancel.decode(payload)
            end.owner.receive(.cancel, on: end)
        case .reset:
            end.owner.receive(.reset(try Reset.decode(payload).reason), on: end)
        default:
            break
        }
    }

    /// What breaks the rules of a stream ends that stream, not the lane: a hop passes on what it gets.
    @inline(__always)
    private func attempt(
        _ end: StreamEnd,
        _ body: (StreamEnd) throws(StreamViolation) -> Void
    ) {
        do throws(StreamViolation) {
            try body(end)
        } catch {
            end.owner.violated(error, on: end)
        }
    }

    // MARK: Sending

    /// Whether twice this window would be more than a stream needs whose path this hop is, beside others on it.
    ///
    /// A lane, which one loop encrypts, carries no more than two gigabytes a second: what is beyond that waits in front of
    /// others, however long answers take on a busy machine.
    func needsNoMore(than window: Int) -> Bool {
        guard labels.count > 1, let trip = conduit.leastRoundTrip, trip < engine.bulkDistance
        else { return false }
        return 2 * window > StreamReceiver.nearWindow + 2 * Int(trip.wholeNanoseconds)
    }

    /// Others wait for their turn to send, or keep their places in line.
    var isCrowded: Bool { !fresh.isEmpty || !busy.isEmpty }

    /// Puts `end` in line to be asked for data.
    func enqueue(_ end: StreamEnd) {
        end.holdsPlace = false
        guard !end.isQueued, !isClosed else { return }
        end.line = .fresh
        fresh.append(end)
        conduit.requestData()
    }

    /// Asks for `produceAcknowledgment` of `end`, before any data.
    func acknowledgeSoon(_ end: StreamEnd) {
        guard !end.owesAcknowledgment, !isClosed else { return }
        end.owesAcknowledgment = true
        owing.append(end)
        conduit.requestData()
    }

    /// Appends acknowledgments; gives how much room is left.
    private func produceAcknowledgments(into buffer: inout FrameBuffer, limit: Int) -> Int {
        let size = FrameHeader.size + Acknowledgment.size
        let count = min(owing.count, limit / size)
        guard count > 0 else { return limit }
        let before = buffer.count
        for end in owing[..<count] {
            end.owesAcknowledgment = false
            if end.carrier === self {
                end.owner.produceAcknowledgment(into: &buffer, at: end)
            }
        }
        owing.removeFirst(count)
        return limit - (buffer.count - before)
    }

    /// Appends data frames of about `limit` bytes in sum, for as long as one step may last: of little from many streams each
    /// costs a system call; true when streams with more wait.
    func produceData(into buffer: inout FrameBuffer, limit: Int) -> Bool {
        let limit = labels.count == 1 ? limit : min(limit, Self.sharedBatch)
        var room = produceAcknowledgments(into: &buffer, limit: limit)
        let stop = EventLoop.clock() + engine.loop.stepTime
        var asked = 0
        while room >= Self.minimumRoom, let end = fresh.popFirst() ?? busy.popFirst() {
            let wasFresh = end.line == .fresh
            end.line = .none
            guard end.carrier === self, !end.holdsPlace else { continue }
            asked += 1
            let isAlone = !isCrowded
            let quantum = fresh.isEmpty ? Self.longQuantum : Self.shortQuantum
            let credit = min(Int(end.deficit) + quantum, Self.longQuantum)
            let before = buffer.count
            let hasMore = end.owner.produce(into: &buffer, limit: min(room, credit), at: end)
            let used = buffer.count - before
            room -= used
            if used >= Self.longFrame { count(used, of: end) }
            end.deficit = hasMore ? UInt16(clamping: credit - used) : 0
            // One that was fresh keeps a place among the busy ones, with or without more.
            if hasMore || (wasFresh && used > 0 && !isAlone), !end.isQueued, end.carrier === self {
                end.line = .busy
                end.holdsPlace = !hasMore
                busy.append(end)
            }
            if asked % Self.endsPerLook == 0, EventLoop.clock() >= stop { break }
        }
        return !owing.isEmpty || isCrowded
    }

    // MARK: Bulk

    /// The time in units of some seconds.
    var bulkTime: UInt32 { UInt32(truncatingIfNeeded: engine.loop.now.nanoseconds >> 30) }

    private func count(_ bytes: Int, of end: StreamEnd) {
        end.longBytes += Int32(truncatingIfNeeded: bytes)
        guard end.longBytes > Self.bulkBytes else { return }
        let (now, since) = (bulkTime, end.countedSince)
        end.longBytes = 1
        end.countedSince = now
        guard now &- since <= Self.bulkSpan, end.carrier === self else { return }
        end.owner.provedBulky(at: end)
    }

    /// A lane for bulk is wanted beside this one; `isNew`: by a stream that has not asked before.
    func askForBulkLane(isNew: Bool = false) {
        let now = engine.loop.now
        guard let dialBulkLane,
            isNew || askedForBulkAt.map({ now - $0 >= Self.bulkAskInterval }) ?? true
        else { return }
        askedForBulkAt = now
        dialBulkLane()
    }

    /// A stream that waits for a lane for bulk.
    var firstThatWaits: StreamEnd? { labels.all.first { $0.waitsForBulk } }

    /// Streams on this lane for bulk that were none since the last time go back.
    func lookForRest() {
        for end in labels.all {
            let hasRested = end.longBytes == 0
            end.longBytes = 0
            if hasRested { end.owner.restedFromBulk(at: end) }
        }
    }

    // MARK: The end

    /// The conduit has ended: every stream on it learns so, a few at a time, for each may end another connection.
    ///
    /// `isRevoked`: the neighbor is not allowed any more, and what it carried ends at once.
    func closed(isRevoked: Bool = false) {
        guard !isClosed else { return }
        isClosed = true
        engine.carrierClosed(self)
        owing = []
        let ends = labels.removeAll()
        let grace = isRevoked ? .zero : resumeGrace
        for first in stride(from: 0, to: ends.count, by: Self.endsPerLook) {
            let slice = ends[first..<min(first + Self.endsPerLook, ends.count)]
            engine.loop.putOff(on: account.number) { [self] _ in lose(slice, grace) }
        }
    }

    private func lose(_ ends: ArraySlice<StreamEnd>, _ grace: Duration) {
        // One that has ended meanwhile, or is elsewhere, has left.
        for end in ends where end.carrier === self {
            end.detach()
            end.owner.pathLost(end, grace: grace)
        }
    }
}
