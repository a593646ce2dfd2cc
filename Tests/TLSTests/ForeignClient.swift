import COpenSSL
import CertificateFixtures
import TLS

/// A client that is not ours, to show what a session refuses; plain OpenSSL over memory.
@safe
final class ForeignClient {
    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    // `chain` is what is presented, leaf first, and may be empty; no `protocols` means no ALPN extension.
    init(
        chain: [FixtureCertificate],
        key: FixtureKey?,
        protocols: String = "tieline/1",
        version: Int32 = TLS1_3_VERSION,
        suite: String? = nil
    ) throws {
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            throw FixtureError(what: "SSL_CTX_new")
        }
        unsafe self.context = unsafe context
        unsafe SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
        unsafe SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_NO_AUTO_CHAIN), nil)
        if let suite { unsafe SSL_CTX_set_ciphersuites(context, suite) }
        if let leaf = chain.first, let key {
            unsafe SSL_CTX_use_certificate(context, leaf.opaque)
            unsafe SSL_CTX_use_PrivateKey(context, key.opaque)
            for extra in chain.dropFirst() {
                unsafe copenssl_add_chain_certificate(context, extra.opaque)
            }
        }
        if !protocols.isEmpty {
            let list = [UInt8(protocols.utf8.count)] + Array(protocols.utf8)
            unsafe SSL_CTX_set_alpn_protos(context, list, UInt32(list.count))
        }
        guard let ssl = unsafe SSL_new(context), let input = unsafe BIO_new(BIO_s_mem()),
            let output = unsafe BIO_new(BIO_s_mem())
        else { throw FixtureError(what: "SSL_new") }
        unsafe (self.ssl, self.input, self.output) = unsafe (ssl, input, output)
        unsafe SSL_set_bio(ssl, input, output)
        unsafe SSL_set_connect_state(ssl)
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
    }

    /// Takes bytes, goes on with the handshake (or reads), and gives what is to be sent.
    func step(_ bytes: [UInt8]) -> [UInt8] {
        unsafe BIO_write(input, bytes, Int32(bytes.count))
        var sink: UInt8 = 0
        if unsafe SSL_do_handshake(ssl) == 1 { unsafe SSL_read(ssl, &sink, 1) }
        ERR_clear_error()
        return unsent()
    }

    /// Encrypts `bytes`, as one record if they fit; gives what is to be sent.
    func write(_ bytes: [UInt8]) -> [UInt8] {
        unsafe SSL_write(ssl, bytes, Int32(bytes.count))
        return unsent()
    }

    /// Announces another key of its own, and asks for another one of the server's; gives what is to be sent.
    func updateKeys() -> [UInt8] {
        unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
        unsafe SSL_do_handshake(ssl)
        return unsent()
    }

    /// Takes records; gives what they say, or nil when they are wrong.
    func read(_ records: [UInt8]) -> [UInt8]? {
        unsafe BIO_write(input, records, Int32(records.count))
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 20_000)
        while true {
            ERR_clear_error()
            let count = unsafe SSL_read(ssl, &buffer, Int32(buffer.count))
            guard count > 0 else {
                return unsafe SSL_get_error(ssl, count) == SSL_ERROR_WANT_READ ? text : nil
            }
            text += buffer.prefix(Int(count))
        }
    }

    private func unsent() -> [UInt8] {
        var answer = [UInt8](repeating: 0, count: Int(unsafe BIO_ctrl_pending(output)))
        unsafe BIO_read(output, &answer, Int32(answer.count))
        return answer
    }

    /// Runs against a server side until nothing moves; gives the server's verdict.
    func run(against server: MemorySide) -> TLSError? {
        var bytes = step([])
        while !bytes.isEmpty {
            server.take(bytes)
            bytes = step(server.drain())
        }
        return server.failure
    }
}
