import COpenSSL

/// One TLS session without a socket: ciphertext in, ciphertext out, plaintext on the other side.
///
/// OpenSSL does the handshake; then the records are sealed and opened here, with the keys that were agreed.
/// Sendable because it has one owner: whoever holds it is the only one to touch the `SSL`, which is bound to no thread.
@safe
package struct TLSSession: ~Copyable, @unchecked Sendable {
    package enum Role: Sendable { case client, server }

    private let pointer: OpaquePointer
    private let state: State
    private let role: Role
    private let recordsPerKey: UInt64
    /// Takes over when the handshake is done.
    private var records: RecordLayer?

    /// What the callbacks of OpenSSL see; they run only within a call into the session.
    @safe
    final class State {
        /// Whether the other end has to say who it is, and which protocol it speaks.
        let isMutual: Bool
        var neighbor: NeighborIdentity?
        var certificateError: CertificateError?
        fileprivate var secrets = TrafficSecrets()
        /// OpenSSL has sent something since it told the secrets: records would be counted wrong.
        fileprivate var hasSentSince = false
        /// The rest of the caller's input; empty between calls.
        fileprivate var input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        /// Where records go; nil between calls.
        fileprivate var output: Ciphertext?

        init(isMutual: Bool) { self.isMutual = isMutual }

        static func of(_ ssl: OpaquePointer) -> State? {
            guard let pointer = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
            return unsafe Unmanaged<State>.fromOpaque(pointer).takeUnretainedValue()
        }

        fileprivate static func of(bio: OpaquePointer?) -> State? {
            guard let pointer = unsafe BIO_get_data(bio) else { return nil }
            return unsafe Unmanaged<State>.fromOpaque(pointer).takeUnretainedValue()
        }

        /// One secret of the handshake, as a line.
        func take(secret line: String) {
            secrets.take(line)
            hasSentSince = false
        }

        fileprivate func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
            guard let output else { return false }
            unsafe output.append(bytes)
            hasSentSince = true
            return true
        }

        fileprivate func read(into target: UnsafeMutableRawBufferPointer) -> Int {
            let count = unsafe min(target.count, input.count)
            guard count > 0 else { return 0 }
            unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
            unsafe input = unsafe UnsafeRawBufferPointer(rebasing: input[count...])
            return count
        }
    }

    /// `recordsPerKey`: after how many records this side changes its key.
    ///
    /// - Throws: `.library` when OpenSSL has no memory left.
    package init(
        context: TLSContext,
        role: Role,
        recordsPerKey: UInt64 = 1 << 24
    ) throws(TLSError) {
        try unsafe self.init(
            raw: context.raw,
            role: role,
            isMutual: true,
            recordsPerKey: recordsPerKey
        )
    }

    /// A server's end, whose clients need not say who they are.
    ///
    /// - Throws: `.library` when OpenSSL has no memory left.
    package init(context: ServerContext) throws(TLSError) {
        try unsafe self.init(
            raw: context.raw,
            role: .server,
            isMutual: false,
            recordsPerKey: 1 << 24
        )
    }

    private init(
        raw: OpaquePointer,
        role: Role,
        isMutual: Bool,
        recordsPerKey: UInt64
    ) throws(TLSError) {
        guard let ssl = unsafe SSL_new(raw) else {
            throw OpenSSLFailure.take("make a TLS session")
        }
        let state = State(isMutual: isMutual)
        // Both hold the state without owning it; it lives as long as the session, which frees both first.
        let opaque = unsafe Unmanaged.passUnretained(state).toOpaque()
        guard unsafe SSL_set_ex_data(ssl, 0, opaque) == 1,
            let bio = unsafe BIO_new(MemoryTransport.method)
        else {
            unsafe SSL_free(ssl)
            throw OpenSSLFailure.take("make a TLS session")
        }
        unsafe BIO_set_data(bio, opaque)
        unsafe BIO_set_init(bio, 1)
        unsafe SSL_set_bio(ssl, bio, bio)
        switch role {
        case .client: unsafe SSL_set_connect_state(ssl)
        case .server: unsafe SSL_set_accept_state(ssl)
        }
        unsafe pointer = unsafe ssl
        self.state = state
        self.role = role
        self.recordsPerKey = recordsPerKey
    }

    deinit {
        unsafe SSL_free(pointer)
        // What a failed call left behind must not be taken for the next session's error.
        OpenSSLFailure.clear()
    }

    /// Verified; nil before the handshake is done.
    package var neighbor: NeighborIdentity? { isEstablished ? state.neighbor : nil }
    /// The handshake is done, the neighbor's chain verified and the protocol agreed.
    package private(set) var isEstablished = false

    /// What became of one portion of input.
    package struct Progress {
        /// Bytes of plaintext that were written.
        package var plaintextCount = 0
        /// The neighbor has ended its direction in order.
        package var isEnded = false
        /// The session is dead; what was decrypted before is still good, and `output` holds the alert to send.
        package var failure: TLSError?
    }

    /// Takes all of `input`, goes on with the handshake if it is not done, and decrypts.
    ///
    /// Records to send (handshake, alerts, key updates) are appended to `output`. An empty `input` starts a
    /// client's handshake.
    ///
    /// - Precondition: `plaintext` has room for `input.count` + 16 KiB.
    package mutating func process(
        _ input: UnsafeRawBufferPointer,
        plaintext: UnsafeMutableRawBufferPointer,
        output: Ciphertext
    ) -> Progress {
        var progress = Progress()
        var rest = unsafe input
        if !isEstablished {
            unsafe state.input = unsafe input
            state.output = output
            progress.failure = advanceHandshake()
            unsafe rest = unsafe state.input
            unsafe state.input = UnsafeRawBufferPointer(start: nil, count: 0)
            state.output = nil
            guard progress.failure == nil, isEstablished else { return progress }
        }
        unsafe records?.decrypt(rest, plaintext: plaintext, output: output, &progress)
        return progress
    }

    private mutating func advanceHandshake() -> TLSError? {
        ERR_clear_error()
        let status = unsafe SSL_do_handshake(pointer)
        if status == 1 {
            guard state.neighbor != nil || !state.isMutual else {
                return .library(operation: "handshake", reason: "the neighbor is not verified")
            }
            guard hasProtocol || !state.isMutual else {
                return .library(operation: "handshake", reason: "no ALPN protocol agreed")
            }
            return takeOver()
        }
        return failure("handshake", status)
    }

    /// Goes on with records of its own; OpenSSL has neither read nor sent one under these keys.
    private mutating func takeOver() -> TLSError? {
        defer { state.secrets = TrafficSecrets() }
        guard unsafe SSL_has_pending(pointer) == 0, !state.hasSentSince,
            let suite = unsafe TrafficSecret.Suite(of: pointer),
            let layer = RecordLayer(
                state.secrets,
                suite: suite,
                role: role,
                recordsPerKey: recordsPerKey
            )
        else { return .library(operation: "handshake", reason: "no keys for its records") }
        records = consume layer
        isEstablished = true
        unsafe SSL_free_buffers(pointer)
        return nil
    }

    private var hasProtocol: Bool {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(pointer, &name, &count)
        let selected = unsafe UnsafeBufferPointer(start: name, count: Int(count))
        return unsafe selected.elementsEqual(TLSContext.protocolList.dropFirst())
    }

    /// Encrypts all of `plaintext` and appends the records to `output`.
    ///
    /// - Throws: when the session has failed or ended before.
    package mutating func encrypt(
        _ plaintext: UnsafeRawBufferPointer,
        output: Ciphertext
    ) throws(TLSError) {
        guard isEstablished else {
            throw .library(operation: "encrypt", reason: "the handshake is not done")
        }
        try unsafe records?.encrypt(plaintext, output: output)
    }

    /// Appends the alert that ends our direction in order; nothing can be encrypted afterwards.
    package mutating func end(output: Ciphertext) { records?.end(output: output) }

    /// Keying material bound to this session (RFC 8446 section 7.5); nil before the handshake is done.
    package func exportKey(label: String, count: Int) -> [UInt8]? {
        guard isEstablished else { return nil }
        var key = [UInt8](repeating: 0, count: count)
        let status = unsafe SSL_export_keying_material(
            pointer,
            &key,
            count,
            label,
            label.utf8.count,
            nil,
            0,
            0
        )
        return status == 1 ? key : nil
    }

    /// The error behind a status; nil when more input is all that is missing.
    private func failure(_ operation: String, _ status: Int32) -> TLSError? {
        switch unsafe SSL_get_error(pointer, status) {
        case SSL_ERROR_WANT_READ: return nil
        case SSL_ERROR_ZERO_RETURN: return .ended
        default: break
        }
        if let error = state.certificateError {
            OpenSSLFailure.clear()
            return .certificate(error)
        }
        return OpenSSLFailure.take(operation)
    }
}

/// The BIO through which OpenSSL sees a session's input and output: memory of the caller, nothing of its own.
@safe
private enum MemoryTransport {
    /// Made once and never changed or freed.
    nonisolated(unsafe) static let method: OpaquePointer? = {
        let method = unsafe BIO_meth_new(
            BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
            "tieline"
        )
        unsafe BIO_meth_set_read(method) { bio, target, count in
            guard let state = unsafe TLSSession.State.of(bio: bio), count > 0 else { return 0 }
            unsafe copenssl_clear_retry(bio)
            let buffer = unsafe UnsafeMutableRawBufferPointer(start: target, count: Int(count))
            let moved = unsafe state.read(into: buffer)
            if moved > 0 { return Int32(moved) }
            unsafe copenssl_set_retry_read(bio)
            return -1
        }
        unsafe BIO_meth_set_write(method) { bio, source, count in
            let bytes = unsafe UnsafeRawBufferPointer(start: source, count: Int(count))
            let isTaken = unsafe TLSSession.State.of(bio: bio)?.write(bytes) ?? false
            unsafe copenssl_clear_retry(bio)
            return isTaken ? count : -1
        }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return unsafe method
    }()
}
