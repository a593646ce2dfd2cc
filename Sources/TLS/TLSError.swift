import COpenSSL

/// Why something that needs OpenSSL failed.
package enum TLSError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The certificate chain (the neighbor's, or our own when credentials are loaded) breaks a rule.
    case certificate(CertificateError)
    /// The neighbor refused: the TLS alert that it sent, by number (RFC 8446 section 6) and name.
    case alert(code: UInt8, name: String)
    /// The neighbor ended the connection, orderly or not.
    case ended
    /// Everything else: what was tried and OpenSSL's reason.
    case library(operation: String, reason: String)

    package var description: String {
        switch self {
        case .certificate(let error): "\(error)"
        case .alert(_, let name): "the neighbor refused: \(name)"
        case .ended: "the neighbor ended the connection"
        case .library(let operation, let reason): "\(operation): \(reason)"
        }
    }
}

extension TLSError {
    /// The alert with its name.
    static func alert(number: UInt8) -> TLSError {
        let name = unsafe SSL_alert_desc_string_long(Int32(number)).map {
            unsafe String(cString: $0)
        }
        return .alert(code: number, name: name ?? "alert \(number)")
    }
}

/// OpenSSL's error queue of this thread.
enum OpenSSLFailure {
    static func clear() { ERR_clear_error() }

    /// The newest error as a value; the queue is empty afterwards.
    static func take(_ operation: String) -> TLSError {
        let code = ERR_peek_last_error()
        defer { ERR_clear_error() }
        guard code != 0 else { return .library(operation: operation, reason: "unknown error") }
        let reason = copenssl_reason(code)
        if copenssl_library(code) == ERR_LIB_SSL, (1000..<1256).contains(reason) {
            return .alert(number: UInt8(reason - Int32(SSL_AD_REASON_OFFSET)))
        }
        let text = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
        return .library(operation: operation, reason: text ?? "error \(code)")
    }
}
