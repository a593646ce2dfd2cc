/// Why there was no answer, or no whole one.
package struct TransportError: Error, Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// The request cannot be sent: a malformed URL, a key that does not fit.
        case invalidRequest
        case nameNotResolved
        /// Nobody took the connection, or kept it until the request was sent: refused, unreachable, timed out, ended before.
        case notConnected
        /// The handshake failed or the peer is not trusted.
        case tls
        /// The request's own time is over.
        case timedOut
        /// An established connection ended before the answer did.
        case broken
        /// The reader was slower than the stream's bound allows, or the body longer.
        case overflow
        /// The task was canceled.
        case canceled
        /// The transport was shut down, or has all the streams it may have.
        case unavailable
        case other
    }

    package let kind: Kind
    package let message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}

extension TransportError: CustomStringConvertible {
    package var description: String { message.isEmpty ? kind.rawValue : message }
}

extension TransportError.Kind {
    /// libcurl's result codes, by number: what to do is the same for each of a group.
    init(curlCode: UInt32) {
        self =
            switch curlCode {
            case 1, 3, 4, 43, 48: .invalidRequest
            case 5, 6: .nameNotResolved
            case 7: .notConnected
            case 28: .timedOut
            case 35, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98: .tls
            case 16, 18, 52, 55, 56, 61, 92, 95, 96: .broken
            case 23, 63: .overflow
            default: .other
            }
    }
}
