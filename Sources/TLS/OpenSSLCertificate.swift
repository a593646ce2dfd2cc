import COpenSSL
import Glibc

/// An `X509` with one owner; never changed after it was made.
///
/// Sendable for that reason: OpenSSL allows concurrent use of a certificate that is not changed (its lazily cached
/// extensions are guarded by OpenSSL's own lock).
@safe
struct OpenSSLCertificate: ~Copyable, @unchecked Sendable {
    private let pointer: OpaquePointer

    /// Takes over one reference.
    init(owning pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

    /// Takes a reference of its own.
    init(sharing pointer: OpaquePointer) {
        unsafe X509_up_ref(pointer)
        unsafe self.pointer = unsafe pointer
    }

    init?(der: [UInt8]) {
        var consumed = 0
        let certificate: OpaquePointer? = unsafe der.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return nil }
            var cursor: UnsafePointer<UInt8>? = unsafe start
            let certificate = unsafe d2i_X509(nil, &cursor, bytes.count)
            if let cursor = unsafe cursor { unsafe consumed = cursor - start }
            return unsafe certificate
        }
        guard let certificate = unsafe certificate else {
            OpenSSLFailure.clear()
            return nil
        }
        // Bytes behind the certificate would be outside of what any signature covers.
        guard consumed == der.count else {
            unsafe X509_free(certificate)
            return nil
        }
        unsafe pointer = unsafe certificate
    }

    deinit { unsafe X509_free(pointer) }

    /// The pointer for a call that does not keep it.
    @unsafe var raw: OpaquePointer { unsafe pointer }

    var der: [UInt8] {
        let count = unsafe i2d_X509(pointer, nil)
        guard count > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            var cursor = buffer.baseAddress
            initialized = Int(max(0, unsafe i2d_X509(pointer, &cursor)))
        }
    }

    /// The subject's key; nil when it cannot be decoded.
    var publicKey: OpenSSLKey? {
        guard let key = unsafe X509_get_pubkey(pointer) else {
            OpenSSLFailure.clear()
            return nil
        }
        return unsafe OpenSSLKey(owning: key)
    }

    /// Seconds since 1970.
    var notBefore: Int64? { unsafe Self.seconds(X509_get0_notBefore(pointer)) }
    var notAfter: Int64? { unsafe Self.seconds(X509_get0_notAfter(pointer)) }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return unsafe Int64(timegm(&parts))
    }

    /// The flags `EXFLAG_...`, after the extensions were parsed.
    var flags: UInt32 { unsafe X509_get_extension_flags(pointer) }
    /// All bits set without the extension.
    var keyUsage: UInt32 { unsafe X509_get_key_usage(pointer) }
    var extendedKeyUsage: UInt32 { unsafe X509_get_extended_key_usage(pointer) }

    /// Bits of security of the signature on this certificate: 128 with SHA-256.
    var signatureStrength: Int32 {
        var bits: Int32 = 0
        guard unsafe X509_get_signature_info(pointer, nil, nil, &bits, nil) == 1 else {
            OpenSSLFailure.clear()
            return 0
        }
        return bits
    }

    /// Why `issuer` is by name and extensions not the issuer of this certificate; nil when it is.
    func mismatch(issuer: borrowing OpenSSLCertificate) -> String? {
        let code = unsafe X509_check_issued(issuer.raw, pointer)
        guard code != X509_V_OK else { return nil }
        OpenSSLFailure.clear()
        guard let text = unsafe X509_verify_cert_error_string(Int(code)) else { return "\(code)" }
        return unsafe String(cString: text)
    }

    func isSigned(by key: borrowing OpenSSLKey) -> Bool {
        let status = unsafe X509_verify(pointer, key.raw)
        if status != 1 { OpenSSLFailure.clear() }
        return status == 1
    }

    /// The URIs among the subject alternative names; nil when the extension is broken or there twice.
    var alternativeURIs: [String]? {
        var critical: Int32 = 0
        let names = unsafe X509_get_ext_d2i(pointer, NID_subject_alt_name, &critical, nil)
        guard let names = unsafe names else {
            OpenSSLFailure.clear()
            // -1: no such extension.
            return critical == -1 ? [] : nil
        }
        let list = OpaquePointer(names)
        defer { unsafe GENERAL_NAMES_free(list) }
        var uris: [String] = []
        let count = unsafe copenssl_names_count(list)
        for index in 0..<count {
            var count: Int32 = 0
            guard let bytes = unsafe copenssl_names_uri(list, index, &count) else { continue }
            let text = unsafe UnsafeBufferPointer(start: bytes, count: Int(count))
            unsafe uris.append(String(decoding: text, as: UTF8.self))
        }
        return uris
    }
}
