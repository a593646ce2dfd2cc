import KubernetesAPI
package import KubernetesClient

/// What a reflector tells about itself: whether it follows its collection.
package enum ReflectorHealth: Equatable, Sendable {
    /// The whole state was told, and a watch is open.
    case following
    /// Nothing is open: the server is about to be asked.
    case asking
    /// The server was asked, and that failed.
    case failed(ReadingTrouble)
}

/// Why something cannot be read, as far as it matters for what to do about it.
package enum ReadingTrouble: Hashable, Sendable {
    /// A right is missing, or the credentials are not accepted: 403, 401.
    case refused(Int)
    /// The server does not serve it, or another one answers in its place: 404.
    case notServed
    /// Any other answer that is none.
    case failed(Int)
    /// A connection, and no (whole) answer.
    case silent
    /// Nobody takes a connection.
    case away
    case undecodable
    /// Watches are opened, and end at once.
    case broken
    /// The request cannot be made, as when a token cannot be read.
    case unasked

    package init(status code: Int) {
        self =
            switch code {
            case 401, 403: .refused(code)
            case 404: .notServed
            default: .failed(code)
            }
    }

    package init(_ error: APIError) {
        self =
            switch error {
            case .status(let status): .init(status: status.code ?? 0)
            case .decoding: .undecodable
            case .transport where error.isNotConnected: .away
            case .transport: .silent
            case .request, .fenced: .unasked
            }
    }

    /// Whether nothing was heard at all.
    package var isSilence: Bool { self == .silent || self == .away }
}
