package import FoundationEssentials

/// One HTTP request.
package struct HTTPRequest: Sendable {
    package var method: String
    /// Absolute, `https` or `http`.
    package var url: String
    package var headers: [(name: String, value: String)]
    package var body: Data?
    /// The longest time for the whole exchange; nil: no bound (streams have their own watchdogs).
    package var timeout: Duration?
    /// The longest silence of the peer, checked every few seconds; nil: no bound.
    package var idleTimeout: Duration?
    package var connectTimeout: Duration = .seconds(10)
    package var tls = TLSMaterial()
    /// Ask for a compressed answer; worth it for long lists.
    package var acceptsCompression = false
    package var proxy: Proxy = .environment
    /// Connect to this host and port, whatever the URL says.
    package var connectTo: (host: String, port: Int)?
    /// The longest body that `send` collects, in bytes.
    package var bodyLimit = 256 << 20
    /// Bytes that a stream may hold while its reader is busy; more ends it with `.overflow`.
    package var streamLimit = 32 << 20

    package enum Proxy: Sendable, Equatable {
        /// `HTTPS_PROXY`, `NO_PROXY` and their kin, never for loopback.
        case environment
        case none
        case url(String)
    }

    package init(
        method: String = "GET",
        url: String,
        headers: [(name: String, value: String)] = [],
        body: Data? = nil,
        timeout: Duration? = .seconds(60)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

/// Whom to trust and what to present, in PEM.
package struct TLSMaterial: Sendable, Equatable {
    /// Nil: the system's authorities.
    package var authorities: Data?
    package var certificate: Data?
    package var key: Data?
    package var verifiesPeer = true

    package init() {}
}

/// Status and headers of an answer.
package struct HTTPResponseHead: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]

    package init(status: Int, headers: [(name: String, value: String)] = []) {
        self.status = status
        self.headers = headers
    }

    package var isSuccess: Bool { (200..<300).contains(status) }

    /// All values of a header, in the order received.
    package func values(of name: String) -> [String] {
        let lowercased = name.lowercased()
        return headers.filter { $0.name.lowercased() == lowercased }.map(\.value)
    }
}

/// A whole answer.
package struct HTTPResponse: Sendable {
    package let head: HTTPResponseHead
    package let body: Data

    package var status: Int { head.status }
    package var isSuccess: Bool { head.isSuccess }
}
