import COpenSSL
import Glibc
import NetworkModel

/// Everything that sessions made with one set of credentials share; new credentials mean a new context for new lanes.
///
/// TLS 1.3 only, ALPN `tieline/1`, both sides present leaf + site CA, no tickets, no resumption. Sendable: the
/// `SSL_CTX` is not changed after `init`, and OpenSSL counts its references atomically.
@safe
package final class TLSContext: @unchecked Sendable {
    package static let applicationProtocol = "tieline/1"
    /// The length-prefixed form that ALPN wants.
    static let protocolList =
        [UInt8(applicationProtocol.utf8.count)] + Array(applicationProtocol.utf8)

    package let credentials: Credentials
    private let pointer: OpaquePointer

    /// - Throws: `.library` when OpenSSL refuses a setting or the credentials.
    package init(credentials: Credentials) throws(TLSError) {
        self.credentials = credentials
        guard let context = unsafe SSL_CTX_new(TLS_method()) else {
            throw OpenSSLFailure.take("make a TLS context")
        }
        unsafe pointer = unsafe context
        try configure()
        try present(credentials.material)
    }

    deinit { unsafe SSL_CTX_free(pointer) }

    @unsafe var raw: OpaquePointer { unsafe pointer }

    private func configure() throws(TLSError) {
        unsafe copenssl_set_modes(pointer)
        // PKCS #1 is for the signatures inside certificates only: TLS 1.3 allows it nowhere else.
        let signatures =
            "ECDSA+SHA256:ECDSA+SHA384:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA+SHA256:RSA+SHA384"
        guard unsafe copenssl_set_tls13_only(pointer) == 1,
            unsafe SSL_CTX_set_ciphersuites(pointer, Self.ciphers) == 1,
            unsafe copenssl_set_groups(pointer, "X25519:P-256:P-384") == 1,
            unsafe copenssl_set_signature_algorithms(pointer, signatures) == 1,
            // This one call gives 0 for success.
            unsafe SSL_CTX_set_alpn_protos(
                pointer,
                Self.protocolList,
                UInt32(Self.protocolList.count)
            ) == 0
        else { throw OpenSSLFailure.take("configure TLS") }
        unsafe SSL_CTX_set_alpn_select_cb(pointer, selectProtocol, nil)
        unsafe SSL_CTX_set_verify(
            pointer,
            SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
            nil
        )
        unsafe SSL_CTX_set_cert_verify_callback(pointer, verifyNeighbor, nil)
        unsafe SSL_CTX_set_keylog_callback(pointer, Self.tellSecret)
    }

    /// AES-128 first: with OpenSSL 3.0 it is the faster one by half, and what it guards needs no more.
    static let ciphers =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

    /// Hands a session the secrets with which it goes on by itself.
    static let tellSecret: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?) -> Void = {
        ssl,
        line in
        guard let ssl = unsafe ssl, let line = unsafe line else { return }
        unsafe TLSSession.State.of(ssl)?.take(secret: String(cString: line))
    }

    private func present(_ material: Credentials.Material) throws(TLSError) {
        guard unsafe SSL_CTX_use_certificate(pointer, material.leaf.raw) == 1,
            unsafe copenssl_add_chain_certificate(pointer, material.authority.raw) == 1,
            unsafe SSL_CTX_use_PrivateKey(pointer, material.key.raw) == 1
        else { throw OpenSSLFailure.take("use the credentials") }
    }
}

/// Takes `tieline/1` and nothing else.
private let selectProtocol: SSL_CTX_alpn_select_cb_func = {
    _,
    selected,
    count,
    offered,
    offeredCount,
    _ in
    let wanted = TLSContext.protocolList.dropFirst()
    guard let offered = unsafe offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    var offset = 0
    while offset < Int(offeredCount) {
        let length = unsafe Int(offered[offset])
        let start = offset + 1
        guard start + length <= Int(offeredCount) else { break }
        let name = unsafe UnsafeBufferPointer(start: offered + start, count: length)
        if unsafe name.elementsEqual(wanted) {
            // The answer points into the neighbor's own list, which outlives the call.
            unsafe selected?.pointee = unsafe offered + start
            unsafe count?.pointee = UInt8(length)
            return SSL_TLSEXT_ERR_OK
        }
        offset = start + length
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}

/// Replaces OpenSSL's chain building: there is no trust store, the chain itself says who it is.
private let verifyNeighbor: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = {
    store,
    _ in
    let index = SSL_get_ex_data_X509_STORE_CTX_idx()
    guard let store = unsafe store,
        let ssl = unsafe X509_STORE_CTX_get_ex_data(store, index),
        let state = unsafe TLSSession.State.of(OpaquePointer(ssl))
    else { return 0 }
    let chain = unsafe X509_STORE_CTX_get0_untrusted(store)
    do throws(CertificateError) {
        let count = unsafe copenssl_stack_count(chain)
        guard count == 2, let leaf = unsafe copenssl_stack_certificate(chain, 0),
            let authority = unsafe copenssl_stack_certificate(chain, 1)
        else { throw .chainCount(Int(count)) }
        state.neighbor = try CertificateRules.verify(
            leaf: unsafe OpenSSLCertificate(sharing: leaf),
            authority: unsafe OpenSSLCertificate(sharing: authority),
            at: Int64(time(nil))
        )
        unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
        return 1
    } catch {
        state.certificateError = error
        unsafe X509_STORE_CTX_set_error(store, error.verificationCode)
        return 0
    }
}

extension CertificateError {
    /// The code from which OpenSSL chooses the alert, so that the neighbor learns the kind of fault.
    fileprivate var verificationCode: Int32 {
        switch self {
        case .expired: X509_V_ERR_CERT_HAS_EXPIRED
        case .notYetValid: X509_V_ERR_CERT_NOT_YET_VALID
        case .signature: X509_V_ERR_CERT_SIGNATURE_FAILURE
        case .notSiteCA: X509_V_ERR_INVALID_CA
        case .chainCount: X509_V_ERR_CERT_CHAIN_TOO_LONG
        case .usage: X509_V_ERR_INVALID_PURPOSE
        case .weakKey: X509_V_ERR_EE_KEY_TOO_SMALL
        case .undecodable, .issuer, .names, .name, .siteMismatch: X509_V_ERR_CERT_REJECTED
        }
    }
}
