import COpenSSL

/// What the sessions of a server share that anybody may call: TLS 1.3, a certificate, no tickets.
///
/// Sendable: the `SSL_CTX` is not changed after `init`, and OpenSSL counts its references atomically.
@safe
package final class ServerContext: @unchecked Sendable {
    private let pointer: OpaquePointer

    /// Reads PEM: of `certificate` the first one is presented.
    ///
    /// - Throws: `.library` when the PEM is broken, the key is not the certificate's, or OpenSSL refuses a setting.
    package init(certificate: [UInt8], privateKey: [UInt8]) throws(TLSError) {
        let leaf = try PEM.certificates(certificate)[0]
        let key = try PEM.privateKey(privateKey)
        guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw OpenSSLFailure.take("make a TLS context")
        }
        unsafe pointer = unsafe context
        unsafe copenssl_set_modes(pointer)
        unsafe SSL_CTX_set_keylog_callback(pointer, TLSContext.tellSecret)
        guard let leaf = OpenSSLCertificate(der: leaf),
            unsafe copenssl_set_tls13_only(pointer) == 1,
            unsafe SSL_CTX_set_ciphersuites(pointer, TLSContext.ciphers) == 1,
            unsafe SSL_CTX_use_certificate(pointer, leaf.raw) == 1,
            unsafe SSL_CTX_use_PrivateKey(pointer, key.raw) == 1
        else { throw OpenSSLFailure.take("use the certificate") }
    }

    deinit { unsafe SSL_CTX_free(pointer) }

    @unsafe var raw: OpaquePointer { unsafe pointer }
}
