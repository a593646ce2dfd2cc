package import FoundationEssentials

/// What a handler is asked.
package struct AdminRequest: Equatable, Sendable {
    package var path: String
    /// As written, without percent-decoding; of a name that comes twice the last value.
    package var query: [String: String]
    package var authorization: String?
    /// HEAD: as GET, and the answer has no body.
    package var isHead = false
    /// What a POST brings; nil for the others.
    package var body: [UInt8]?

    package init(path: String, query: [String: String] = [:], authorization: String? = nil) {
        self.path = path
        self.query = query
        self.authorization = authorization
    }

    /// The key of `Authorization: Bearer KEY`.
    package var bearerKey: String? {
        guard let authorization, let space = authorization.firstIndex(of: " "),
            authorization[..<space].lowercased() == "bearer"
        else { return nil }
        return String(authorization[authorization.index(after: space)...])
    }
}

/// What a handler answers.
package struct AdminResponse: Sendable {
    package var status: Int
    package var contentType: String
    package var body: Data

    package init(status: Int, contentType: String, body: Data) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    package static func text(_ text: String, status: Int = 200) -> AdminResponse {
        AdminResponse(
            status: status,
            contentType: "text/plain; charset=utf-8",
            body: Data(text.utf8)
        )
    }

    /// All metrics, as Prometheus reads them.
    package static func metrics(_ registry: MetricsRegistry) -> AdminResponse {
        AdminResponse(
            status: 200,
            contentType: "text/plain; version=0.0.4; charset=utf-8",
            body: Data(registry.text().utf8)
        )
    }

    package static func json(_ body: Data) -> AdminResponse {
        AdminResponse(status: 200, contentType: "application/json", body: body)
    }

    /// As it goes over the wire (RFC 9112); the connection ends after it.
    func encoded(for request: AdminRequest? = nil) -> [UInt8] {
        let head = """
            HTTP/1.1 \(status) \(phrase)\r
            Content-Type: \(contentType)\r
            Content-Length: \(body.count)\r
            Connection: close\r
            \r

            """
        return Array(head.utf8) + (request?.isHead == true ? Data() : body)
    }

    private var phrase: String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 503: "Service Unavailable"
        default: "Status \(status)"
        }
    }
}
