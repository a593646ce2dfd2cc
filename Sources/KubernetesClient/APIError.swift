package import HTTPTransport
package import KubernetesAPI

/// Why a call failed.
package enum APIError: Error, Sendable {
    /// The server answered, with this.
    case status(APIStatus)
    /// There was no (whole) answer. A write may have happened all the same.
    case transport(TransportError)
    /// The answer is not what was expected.
    case decoding(String)
    /// The request could not be made: an object that does not encode, a token that cannot be read.
    case request(String)
    /// Not sent, for this process may not write now (it lost its lease).
    case fenced
}

extension APIError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .status(let status): status.description
        case .transport(let error): error.description
        case .decoding(let problem): "the API server's answer does not decode: \(problem)"
        case .request(let problem): problem
        case .fenced: "not written: this process is not the leader"
        }
    }
}

extension APIError {
    package var status: APIStatus? {
        guard case .status(let status) = self else { return nil }
        return status
    }

    package var isNotFound: Bool { status?.isNotFound == true }
    /// The server knows the kind, and that there is no such object.
    ///
    /// A kind that is not served, or whoever answers in the place of the server, gives a 404 too, which says nothing.
    package var isAbsence: Bool { isNotFound && status?.reason == "NotFound" }
    package var isAlreadyExists: Bool { status?.isAlreadyExists == true }
    package var isConflict: Bool { status?.isConflict == true }
    package var isForbidden: Bool { status?.isForbidden == true }
    package var isInvalid: Bool { status?.isInvalid == true }

    package var isCancelled: Bool { transportKind == .canceled }

    /// Nobody took the connection: the server is away.
    package var isNotConnected: Bool { transportKind == .notConnected }

    package var isTimedOut: Bool { transportKind == .timedOut }

    private var transportKind: TransportError.Kind? {
        guard case .transport(let error) = self else { return nil }
        return error.kind
    }

    /// Whether the same call may succeed later without anybody changing anything.
    package var isTransient: Bool {
        switch self {
        case .status(let status): status.isTransient || status.isConflict
        case .transport(let error): error.kind != .canceled && error.kind != .invalidRequest
        case .decoding, .request: false
        case .fenced: true
        }
    }
}
