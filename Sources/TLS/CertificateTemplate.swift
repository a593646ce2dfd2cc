import COpenSSL
import Glibc

/// What a certificate that is about to be made shall say.
package struct CertificateTemplate: Sendable {
    /// The common name.
    package var subject: String
    /// Seconds since 1970.
    package var notBefore: Int64
    package var notAfter: Int64
    /// Extensions in OpenSSL's notation (x509v3_config(5)), by short name.
    package var extensions: [(name: String, value: String)]

    package init(
        subject: String,
        notBefore: Int64,
        notAfter: Int64,
        extensions: [(name: String, value: String)]
    ) {
        self.subject = subject
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.extensions = extensions
    }

    /// A certificate for `key`, signed by itself.
    package func selfSigned(_ key: PrivateKey) throws(TLSError) -> Certificate {
        try make(key, issuer: nil, signer: key)
    }

    /// A certificate for `key`, signed by the CA `issuer`, whose key is `signer`.
    ///
    /// It names the CA's key as the CA's own certificate does; when that names none, neither does this.
    package func signed(
        _ key: PrivateKey,
        issuer: Certificate,
        signer: PrivateKey
    ) throws(TLSError) -> Certificate {
        try make(key, issuer: issuer, signer: signer)
    }

    private func make(
        _ key: PrivateKey,
        issuer: Certificate?,
        signer: PrivateKey
    ) throws(TLSError) -> Certificate {
        guard let pointer = unsafe X509_new() else {
            throw OpenSSLFailure.take("make a certificate")
        }
        let made = unsafe OpenSSLCertificate(owning: pointer)
        try check(unsafe X509_set_version(pointer, Int(X509_VERSION_3)), "set the version")
        try setSerialNumber(made)
        guard unsafe ASN1_TIME_set(X509_getm_notBefore(pointer), Int(notBefore)) != nil,
            unsafe ASN1_TIME_set(X509_getm_notAfter(pointer), Int(notAfter)) != nil
        else { throw OpenSSLFailure.take("set the dates") }
        try setNames(made, issuer: issuer)
        try check(unsafe X509_set_pubkey(pointer, key.material.key.raw), "set the key")
        for (name, value) in extensions { try add(name, value, to: made, issuer: nil) }
        if let issuer, unsafe X509_get0_subject_key_id(issuer.material.certificate.raw) != nil {
            try add("authorityKeyIdentifier", "keyid", to: made, issuer: issuer)
        }
        guard unsafe X509_sign(pointer, signer.material.key.raw, signer.material.key.digest) > 0
        else {
            throw OpenSSLFailure.take("sign a certificate")
        }
        return try Certificate(made)
    }

    /// 127 random bits, RFC 5280 section 4.1.2.2: positive, at most 20 bytes.
    private func setSerialNumber(_ made: borrowing OpenSSLCertificate) throws(TLSError) {
        var bytes = Crypto.randomBytes(16)
        bytes[0] &= 0x7f
        let number = unsafe BN_bin2bn(bytes, Int32(bytes.count), nil)
        defer { unsafe BN_free(number) }
        guard unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(made.raw)) != nil else {
            throw OpenSSLFailure.take("set the serial number")
        }
    }

    private func setNames(
        _ made: borrowing OpenSSLCertificate,
        issuer: Certificate?
    ) throws(TLSError) {
        let name = unsafe X509_get_subject_name(made.raw)
        let text = Array(subject.utf8)
        try check(
            unsafe X509_NAME_add_entry_by_txt(
                name,
                "CN",
                copenssl_utf8_string,
                text,
                Int32(text.count),
                -1,
                0
            ),
            "set the subject"
        )
        let issuerName =
            if let issuer { unsafe X509_get_subject_name(issuer.material.certificate.raw) } else {
                unsafe name
            }
        try check(unsafe X509_set_issuer_name(made.raw, issuerName), "set the issuer")
    }

    private func add(
        _ name: String,
        _ value: String,
        to made: borrowing OpenSSLCertificate,
        issuer: Certificate?
    ) throws(TLSError) {
        let source =
            if let issuer { unsafe issuer.material.certificate.raw } else { unsafe made.raw }
        guard let part = unsafe copenssl_extension(name, value, source, made.raw) else {
            throw OpenSSLFailure.take("make the extension \(name)")
        }
        defer { unsafe X509_EXTENSION_free(part) }
        try check(unsafe X509_add_ext(made.raw, part, -1), "add the extension \(name)")
    }

    private func check(_ status: Int32, _ operation: String) throws(TLSError) {
        guard status == 1 else { throw OpenSSLFailure.take(operation) }
    }
}
