import NetworkModel
import Streaming
import Wire

/// One end of a stream: the neighbor says what it likes, the socket gives and takes what it likes.
///
/// What the socket is given is the neighbor's bytes from the first one on, and memory stays within what was granted. Once the
/// neighbor breaks a rule the stream is over.
func fuzzStream(_ bytes: [UInt8]) {
    var end = FuzzedEnd()
    var decisions = Decisions(bytes)
    do {
        while !decisions.isEmpty {
            try end.step(&decisions)
            end.checkBounds()
        }
    } catch {}
}

private struct FuzzedEnd: ~Copyable {
    private var sender: StreamSender
    private var receiver: StreamReceiver
    private var now = Instant(nanoseconds: 1_000_000_000)
    /// What the socket was given.
    private var delivered: UInt64 = 0
    private var isFinGiven = false
    /// Up to where the neighbor ever allowed to read: what opens the stream may allow less than was read before.
    private var allowed: UInt64 = 0

    init() {
        let pool = BufferPool()
        sender = StreamSender(pool)
        receiver = StreamReceiver(pool, window: StreamReceiver.minimumWindow, at: now)
    }

    mutating func step(_ decisions: inout Decisions) throws(StreamViolation) {
        now = now + .microseconds(Int(decisions.byte()))
        switch decisions.byte() % 10 {
        case 0: sender.open(window: UInt32(decisions.number()))
        case 1, 2: try receive(nearOffset(&decisions), count: decisions.number())
        case 3: try receive(decisions.long(), count: decisions.number())
        case 4: drain(atMost: decisions.number())
        case 5: read(decisions.number())
        case 6: send(atMost: decisions.number())
        case 7:
            let frame = Acknowledgment(
                offset: decisions.byte() % 4 == 0
                    ? decisions.long() : sender.ring.start + UInt64(decisions.number()),
                window: UInt32(decisions.number())
            )
            _ = try sender.acknowledged(frame)
        case 8:
            let isNear = decisions.byte() % 4 != 0
            try receiver.finish(isNear ? receiver.next : decisions.long())
        default: if sender.finOffset == nil { sender.end() }
        }
        allowed = max(allowed, sender.limit)
        settle()
    }

    /// An offset that may well be right.
    private func nearOffset(_ decisions: inout Decisions) -> UInt64 {
        let back = UInt64(decisions.byte() % 8) * UInt64(decisions.byte())
        return receiver.next &- min(back, receiver.next)
    }

    private static func byte(_ offset: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: offset &* 31) }

    private mutating func receive(_ offset: UInt64, count: Int) throws(StreamViolation) {
        let known = try receiver.check(offset, count: count)
        var fresh = (known..<count).map { Self.byte(offset + UInt64($0)) }
        if receiver.pending.isEmpty {
            let taken = fresh.prefix(fresh.count / 2)
            give(taken)
            receiver.passed(taken.count)
            fresh.removeFirst(taken.count)
        }
        if !fresh.isEmpty { fresh.withRawSpan { receiver.store($0) } }
    }

    private mutating func give(_ bytes: some Collection<UInt8>) {
        precondition(!isFinGiven || bytes.isEmpty, "bytes after FIN")
        for byte in bytes {
            precondition(byte == Self.byte(delivered), "byte \(delivered) is another one")
            delivered += 1
        }
    }

    private mutating func drain(atMost limit: Int) {
        guard limit > 0, !receiver.pending.isEmpty else { return }
        var taken: [UInt8] = []
        _ = unsafe receiver.drain { bytes in
            unsafe taken = Array(bytes.prefix(limit))
            return taken.count
        }
        give(taken)
    }

    private mutating func read(_ count: Int) {
        guard count > 0, sender.room > 0 else { return }
        _ = sender.fill(atMost: count) { space in
            unsafe space.first.initializeMemory(as: UInt8.self, repeating: 7)
            return unsafe space.first.count
        }
    }

    private mutating func send(atMost count: Int) {
        let ready = min(sender.ready, count)
        if ready > 0 {
            sender.didSend(ready)
        } else if sender.isFinDue {
            sender.didSendFin()
        }
    }

    private mutating func settle() {
        if receiver.isFinDue {
            precondition(delivered == receiver.finOffset, "FIN before the last byte")
            isFinGiven = true
            receiver.didDeliverFin()
        }
        guard receiver.isAcknowledgmentDue else { return }
        let frame = receiver.takeAcknowledgment(
            at: now,
            roundTrip: .milliseconds(1),
            mayGrow: true
        )
        precondition(frame.offset <= delivered + 1, "more is acknowledged than was given")
    }

    func checkBounds() {
        let waiting = UInt64(receiver.pending.count)
        precondition(
            waiting <= receiver.granted - receiver.written,
            "\(waiting) bytes wait, which were not granted"
        )
        precondition(delivered == receiver.written, "what the socket took is not counted")
        precondition(sender.ring.end <= allowed, "more was read than was ever allowed")
    }
}
