import CertificateFixtures
import NetworkModel
import TLS

/// The records of a lane, between a neighbor that has our trust and somebody in between who changes what is under way.
///
/// What comes out is what went in, from the first byte on; once something was changed nothing comes out any more.
func fuzzRecords(_ bytes: [UInt8]) {
    guard var lane = try? FuzzedLane() else { preconditionFailure("no lane") }
    var decisions = Decisions(bytes)
    lane.shakeHands()
    while !decisions.isEmpty { lane.step(&decisions) }
}

private struct FuzzedLane: ~Copyable {
    /// Made once: only their sessions differ.
    private static let sites = Result {
        (try FixtureSite("near").context(.gateway), try FixtureSite("far").context(.gateway))
    }

    private var sender: TLSSession
    private var receiver: TLSSession
    private let toReceiver = Ciphertext()
    private let toSender = Ciphertext()
    private var sent: UInt64 = 0
    private var received: UInt64 = 0
    /// No record after this one is genuine.
    private var isChanged = false
    private var isOver = false

    init() throws {
        let (near, far) = try Self.sites.get()
        let client = try TLSSession(context: near, role: .client, recordsPerKey: 300)
        let server = try TLSSession(context: far, role: .server)
        sender = client
        receiver = server
    }

    mutating func shakeHands() {
        giveToSender([])
        while !toReceiver.isEmpty || !toSender.isEmpty {
            giveToReceiver(Self.take(toReceiver))
            giveToSender(Self.take(toSender))
        }
        precondition(sender.isEstablished && receiver.isEstablished, "no lane")
    }

    mutating func step(_ decisions: inout Decisions) {
        switch decisions.byte() % 8 {
        case 0, 1, 2: send(decisions.number())
        case 3: for _ in 0...decisions.byte() { send(1) }
        case 4: forge(&decisions)
        case 5: sender.end(output: toReceiver)
        default: break
        }
        carry(decisions.number())
    }

    /// Begins again after 256 bytes.
    private static let bytes = (0..<1 << 17).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    private static func pattern(from offset: UInt64, _ count: Int) -> ArraySlice<UInt8> {
        bytes.dropFirst(Int(offset % 256)).prefix(count)
    }

    private static func take(_ queue: Ciphertext, atMost limit: Int = .max) -> [UInt8] {
        let bytes = unsafe queue.withBytes { unsafe Array($0.prefix(limit)) }
        queue.removeFirst(bytes.count)
        return bytes
    }

    private mutating func send(_ count: Int) {
        let bytes = Self.pattern(from: sent, count)
        do {
            try unsafe bytes.withUnsafeBytes { try unsafe sender.encrypt($0, output: toReceiver) }
            sent += UInt64(count)
        } catch {}
    }

    /// Changes one byte that is under way, or puts bytes behind.
    private mutating func forge(_ decisions: inout Decisions) {
        var bytes = Self.take(toReceiver)
        let place = decisions.number()
        if !bytes.isEmpty, decisions.byte() % 2 == 0 {
            let change = decisions.byte()
            bytes[place % bytes.count] ^= change
            isChanged = isChanged || change != 0
        } else {
            let added = decisions.bytes(place % 64)
            bytes += added
            isChanged = isChanged || !added.isEmpty
        }
        unsafe bytes.withUnsafeBytes { unsafe toReceiver.append($0) }
    }

    /// Brings so many bytes over, and the answers back.
    private mutating func carry(_ count: Int) {
        guard !isOver else { return }
        giveToReceiver(Self.take(toReceiver, atMost: count))
        giveToSender(Self.take(toSender))
        guard toReceiver.isEmpty, !isChanged, !isOver else { return }
        precondition(received == sent, "\(received) of \(sent) bytes came out")
    }

    private mutating func giveToReceiver(_ bytes: [UInt8]) {
        var plaintext = [UInt8](repeating: 0, count: bytes.count + 17_000)
        let progress = unsafe bytes.withUnsafeBytes { bytes in
            unsafe plaintext.withUnsafeMutableBytes { target in
                unsafe receiver.process(bytes, plaintext: target, output: toSender)
            }
        }
        let fresh = plaintext.prefix(progress.plaintextCount)
        precondition(fresh == Self.pattern(from: received, fresh.count), "other bytes")
        received += UInt64(fresh.count)
        precondition(received <= sent, "more came out than went in")
        precondition(progress.failure == nil || isChanged, "failed on genuine records")
        isOver = isOver || progress.isEnded || progress.failure != nil
    }

    private mutating func giveToSender(_ bytes: [UInt8]) {
        var plaintext = [UInt8](repeating: 0, count: bytes.count + 17_000)
        let progress = unsafe bytes.withUnsafeBytes { bytes in
            unsafe plaintext.withUnsafeMutableBytes { target in
                unsafe sender.process(bytes, plaintext: target, output: toReceiver)
            }
        }
        isOver = isOver || progress.failure != nil
    }
}
