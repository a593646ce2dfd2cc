import COpenSSL

/// A proxy's leaf with the site CA that signed it and the leaf's private key; checked when made, then immutable.
package struct Credentials: Sendable {
    /// Whom they speak for, by the same rules that a neighbor applies.
    package let identity: NeighborIdentity
    /// DER: the leaf, then the site CA; what link state advertisements carry.
    package let chain: [[UInt8]]
    /// Seconds since 1970: the earlier end of the two certificates.
    package let notAfter: Int64
    let material: Material

    /// The OpenSSL objects, shared by every copy and every context.
    final class Material: Sendable {
        let leaf: OpenSSLCertificate
        let authority: OpenSSLCertificate
        let key: OpenSSLKey

        init(
            leaf: consuming OpenSSLCertificate,
            authority: consuming OpenSSLCertificate,
            key: consuming OpenSSLKey
        ) {
            self.leaf = leaf
            self.authority = authority
            self.key = key
        }
    }

    /// Reads PEM: `certificates` holds the leaf first, then the site CA and nothing else.
    ///
    /// - Throws: `.certificate` when the chain breaks a rule (dates are not judged here: they pass while the process
    ///   runs), `.library` when the PEM is broken or the key does not fit the leaf.
    package init(certificates: [UInt8], privateKey: [UInt8]) throws(TLSError) {
        let chain = try PEM.certificates(certificates)
        guard chain.count == 2 else { throw .certificate(.chainCount(chain.count)) }
        guard let leaf = OpenSSLCertificate(der: chain[0]),
            let authority = OpenSSLCertificate(der: chain[1])
        else { throw .certificate(.undecodable("not DER")) }
        let key = try PEM.privateKey(privateKey)
        do {
            identity = try CertificateRules.verify(leaf: leaf, authority: authority, at: nil)
        } catch {
            throw .certificate(error)
        }
        guard unsafe X509_check_private_key(leaf.raw, key.raw) == 1 else {
            OpenSSLFailure.clear()
            throw .library(
                operation: "load the private key",
                reason: "it does not belong to the leaf certificate"
            )
        }
        notAfter = min(leaf.notAfter ?? 0, authority.notAfter ?? 0)
        self.chain = chain
        material = Material(leaf: leaf, authority: authority, key: key)
    }

    /// Signs with the leaf's key; `identity.publicKey` verifies.
    package func sign(_ message: [UInt8]) throws(TLSError) -> [UInt8] {
        try material.key.sign(message)
    }
}

/// PEM blocks in memory.
enum PEM {
    /// The DER of every certificate, in order; other blocks are skipped by OpenSSL.
    static func certificates(_ text: [UInt8]) throws(TLSError) -> [[UInt8]] {
        guard let source = unsafe BIO_new_mem_buf(text, Int32(text.count)) else {
            throw OpenSSLFailure.take("read certificates")
        }
        defer {
            unsafe BIO_free(source)
            // The end of the text is reported as an error.
            OpenSSLFailure.clear()
        }
        var chain: [[UInt8]] = []
        while let certificate = unsafe PEM_read_bio_X509(source, nil, nil, nil) {
            unsafe chain.append(OpenSSLCertificate(owning: certificate).der)
        }
        guard !chain.isEmpty else { throw OpenSSLFailure.take("read certificates") }
        return chain
    }

    static func privateKey(_ text: [UInt8]) throws(TLSError) -> OpenSSLKey {
        guard let source = unsafe BIO_new_mem_buf(text, Int32(text.count)) else {
            throw OpenSSLFailure.take("read the private key")
        }
        defer { unsafe BIO_free(source) }
        // Without a callback OpenSSL would ask for the password of an encrypted key on the terminal.
        guard let key = unsafe PEM_read_bio_PrivateKey(source, nil, { _, _, _, _ in -1 }, nil)
        else {
            throw OpenSSLFailure.take("read the private key")
        }
        return unsafe OpenSSLKey(owning: key)
    }

    /// What `write` puts into a BIO.
    static func text(
        _ operation: String,
        _ write: (OpaquePointer?) -> Int32
    ) throws(TLSError) -> String {
        let sink = unsafe BIO_new(BIO_s_mem())
        defer { unsafe BIO_free(sink) }
        guard unsafe write(sink) == 1 else { throw OpenSSLFailure.take(operation) }
        var bytes = [UInt8](repeating: 0, count: Int(unsafe BIO_ctrl_pending(sink)))
        let count = unsafe BIO_read(sink, &bytes, Int32(bytes.count))
        return String(decoding: bytes.prefix(Int(max(0, count))), as: UTF8.self)
    }
}
