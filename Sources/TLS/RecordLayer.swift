import COpenSSL

/// The records of a session whose handshake is done: application data, alerts and key updates, nothing else.
///
/// OpenSSL has done the handshake and has no part in what follows: it would copy each byte once more on either side.
struct RecordLayer: ~Copyable {
    private enum Content {
        static let alert: UInt8 = 21
        static let handshake: UInt8 = 22
        static let data: UInt8 = 23
    }

    private var sending: RecordCipher
    private var receiving: RecordCipher
    /// The beginning of a record of which the rest has not come.
    private var partial: [UInt8] = []
    private var hasEnded = false

    /// - Returns: nil when a secret is missing, or there is no memory.
    init?(
        _ secrets: TrafficSecrets,
        suite: TrafficSecret.Suite,
        role: TLSSession.Role,
        recordsPerKey: UInt64
    ) {
        guard let client = secrets.client, let server = secrets.server,
            let own = TrafficSecret(role == .client ? client : server, of: suite),
            let other = TrafficSecret(role == .client ? server : client, of: suite),
            let sending = RecordCipher(own, recordsPerKey: recordsPerKey),
            let receiving = RecordCipher(other, recordsPerKey: recordsPerKey)
        else { return nil }
        self.sending = sending
        self.receiving = receiving
    }

    // MARK: Sending

    /// Appends the records of `plaintext`.
    mutating func encrypt(
        _ plaintext: UnsafeRawBufferPointer,
        output: Ciphertext
    ) throws(TLSError) {
        guard !hasEnded else {
            throw .library(operation: "encrypt", reason: "this direction has ended")
        }
        var start = 0
        while start < plaintext.count {
            let end = min(plaintext.count, start + RecordCipher.contentMax)
            let piece = unsafe UnsafeRawBufferPointer(rebasing: plaintext[start..<end])
            guard unsafe sending.seal(piece, as: Content.data, to: output) else {
                throw OpenSSLFailure.take("encrypt")
            }
            start = end
            if sending.isWorn { try changeKey(output) }
        }
    }

    /// Says that another key follows, and takes it.
    private mutating func changeKey(_ output: Ciphertext) throws(TLSError) {
        guard seal([24, 0, 0, 1, 0], as: Content.handshake, output), sending.advance() else {
            throw OpenSSLFailure.take("change the key")
        }
    }

    private mutating func seal(_ content: [UInt8], as type: UInt8, _ output: Ciphertext) -> Bool {
        unsafe content.withUnsafeBytes { unsafe sending.seal($0, as: type, to: output) }
    }

    /// Says that nothing follows.
    mutating func end(output: Ciphertext) {
        guard !hasEnded else { return }
        hasEnded = true
        _ = seal([1, UInt8(SSL3_AD_CLOSE_NOTIFY)], as: Content.alert, output)
    }

    // MARK: Receiving

    /// Takes all of `input`; what is wrong with it is told to the neighbor and in `progress`.
    mutating func decrypt(
        _ input: UnsafeRawBufferPointer,
        plaintext: UnsafeMutableRawBufferPointer,
        output: Ciphertext,
        _ progress: inout TLSSession.Progress
    ) {
        var rest = unsafe input
        do throws(RecordFault) {
            while !progress.isEnded {
                if !partial.isEmpty {
                    guard unsafe try complete(&rest) else { return }
                    let record = partial
                    partial = []
                    try unsafe record.withRecord { (record) throws(RecordFault) in
                        try unsafe take(record, plaintext, output, &progress)
                    }
                    continue
                }
                guard let size = try unsafe RecordFault.size(of: rest), size <= rest.count else {
                    unsafe partial = Array(rest)
                    return
                }
                let record = unsafe UnsafeRawBufferPointer(rebasing: rest[..<size])
                unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest[size...])
                try unsafe take(record, plaintext, output, &progress)
            }
        } catch {
            progress.failure = error.failure
            if !hasEnded, let alert = error.alert {
                _ = seal([2, alert], as: Content.alert, output)
            }
            hasEnded = true
        }
    }

    /// Adds to the record that has begun; true when it is whole.
    private mutating func complete(
        _ rest: inout UnsafeRawBufferPointer
    ) throws(RecordFault) -> Bool {
        while true {
            let size = try unsafe partial.withRecord { (record) throws(RecordFault) in
                try unsafe RecordFault.size(of: record)
            }
            let wanted = (size ?? RecordCipher.headerSize) - partial.count
            let count = min(wanted, rest.count)
            unsafe partial += rest[..<count]
            unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest[count...])
            guard count == wanted else { return false }
            if size != nil { return true }
        }
    }

    /// Takes one whole record.
    private mutating func take(
        _ record: UnsafeRawBufferPointer,
        _ plaintext: UnsafeMutableRawBufferPointer,
        _ output: Ciphertext,
        _ progress: inout TLSSession.Progress
    ) throws(RecordFault) {
        let target = unsafe UnsafeMutableRawBufferPointer(
            rebasing: plaintext[progress.plaintextCount...]
        )
        precondition(
            target.count >= record.count,
            "a plaintext buffer of \(plaintext.count) bytes is too small"
        )
        guard let (type, count) = unsafe receiving.open(record, into: target) else {
            OpenSSLFailure.clear()
            throw .damaged
        }
        guard count <= RecordCipher.contentMax else { throw .tooLong }
        switch (type, count) {
        case (Content.data, _):
            progress.plaintextCount += count
        case (Content.alert, 2):
            let alert = unsafe target[1]
            guard alert == UInt8(SSL3_AD_CLOSE_NOTIFY) else { throw .alert(alert) }
            progress.isEnded = true
        case (Content.handshake, 5):
            try unsafe changeKey(Array(target[..<5]), output)
        default:
            throw .unexpected
        }
    }

    /// Takes a KeyUpdate, and answers it when it asks for that.
    private mutating func changeKey(
        _ message: [UInt8],
        _ output: Ciphertext
    ) throws(RecordFault) {
        guard message.starts(with: [24, 0, 0, 1]), message[4] <= 1, !receiving.isFresh
        else { throw .unexpected }
        guard receiving.advance() else { throw .damaged }
        guard message[4] == 1, !hasEnded else { return }
        do throws(TLSError) { try changeKey(output) } catch { throw .damaged }
    }
}

/// What is wrong with a record that came.
private enum RecordFault: Error {
    case damaged
    case tooLong
    case unexpected
    /// The neighbor's own alert.
    case alert(UInt8)

    /// Bytes of the record that begins `bytes`, header included; nil while the header is not whole.
    static func size(of bytes: UnsafeRawBufferPointer) throws(RecordFault) -> Int? {
        guard bytes.count >= RecordCipher.headerSize else { return nil }
        guard unsafe bytes[0] == 23 else { throw .unexpected }
        let length = unsafe Int(bytes[3]) << 8 | Int(bytes[4])
        guard length >= RecordCipher.overhead else { throw .damaged }
        guard length <= RecordCipher.contentMax + 256 else { throw .tooLong }
        return RecordCipher.headerSize + length
    }

    /// What is said to the neighbor; nothing is answered to its own.
    var alert: UInt8? {
        switch self {
        case .damaged: UInt8(SSL3_AD_BAD_RECORD_MAC)
        case .tooLong: UInt8(TLS1_AD_RECORD_OVERFLOW)
        case .unexpected: UInt8(SSL3_AD_UNEXPECTED_MESSAGE)
        case .alert: nil
        }
    }

    var failure: TLSError {
        switch self {
        case .damaged: .library(operation: "decrypt", reason: "a damaged record")
        case .tooLong: .library(operation: "decrypt", reason: "a record that is too long")
        case .unexpected: .library(operation: "decrypt", reason: "an unexpected record")
        case .alert(let code): .alert(number: code)
        }
    }
}

extension [UInt8] {
    fileprivate func withRecord<Result>(
        _ body: (UnsafeRawBufferPointer) throws(RecordFault) -> Result
    ) throws(RecordFault) -> Result {
        let result = unsafe withUnsafeBytes { bytes in
            Swift.Result<Result, RecordFault> { () throws(RecordFault) in try unsafe body(bytes) }
        }
        return try result.get()
    }
}
