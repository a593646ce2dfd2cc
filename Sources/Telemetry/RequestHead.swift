/// Reads an HTTP/1 request (RFC 9112) as it arrives.
struct RequestHead {
    enum Progress: Equatable {
        case incomplete
        case request(AdminRequest)
        /// Answered with this status, and the reason.
        case refused(Int, String)
    }

    /// Request line and header fields together.
    static let limit = 8_192

    /// What a POST may bring; nil: none is taken.
    let bodyLimit: Int?
    private var bytes: [UInt8] = []
    /// Where the search for the end goes on.
    private var searched = 0
    /// What has a body that has not come whole, and where that begins and ends.
    private var posted: (request: AdminRequest, body: Range<Int>)?

    init(bodyLimit: Int? = nil) { self.bodyLimit = bodyLimit }

    /// How much of the memory of the endpoint it takes.
    var count: Int { bytes.count }

    /// Takes what has come; nothing is to follow once the answer is not `incomplete`.
    mutating func append(_ new: ArraySlice<UInt8>) -> Progress {
        bytes += new
        if posted != nil { return finish() }
        guard let end = end() else {
            return bytes.count < Self.limit
                ? .incomplete
                : .refused(431, "the head of a request has \(Self.limit) bytes at the most\n")
        }
        return parse(bytes[..<end])
    }

    /// The body comes after the empty line that ends the head.
    private mutating func finish() -> Progress {
        guard let (request, body) = posted, bytes.count >= body.upperBound else {
            return .incomplete
        }
        var whole = request
        whole.body = Array(bytes[body])
        return .request(whole)
    }

    /// The empty line; a bare line feed ends a line as well (RFC 9112, 2.2).
    private mutating func end() -> Int? {
        var index = max(searched - 3, 0)
        while index < bytes.count {
            defer { index += 1 }
            guard bytes[index] == 0x0A else { continue }
            let rest = bytes[(index + 1)...]
            if rest.first == 0x0A || rest.starts(with: [0x0D, 0x0A]) { return index }
        }
        searched = bytes.count
        return nil
    }

    private mutating func parse(_ head: ArraySlice<UInt8>) -> Progress {
        let lines = String(decoding: head, as: UTF8.self)
            .split(omittingEmptySubsequences: false) { $0.isNewline }
        let words = lines[0].split(separator: " ")
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else {
            return .refused(400, "this is not an HTTP/1 request\n")
        }
        let isPost = words[0] == "POST"
        guard ["GET", "HEAD"].contains(words[0]) || isPost && bodyLimit != nil else {
            return .refused(
                405,
                "only GET\(bodyLimit == nil ? "" : ", POST") and HEAD are answered here\n"
            )
        }
        let parts = words[1].split(separator: "?", maxSplits: 1)
        guard let path = parts.first, path.hasPrefix("/") else {
            return .refused(400, "the target of a request begins with a slash\n")
        }
        var request = AdminRequest(path: String(path))
        request.isHead = words[0] == "HEAD"
        for item in parts.dropFirst().joined().split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            request.query[String(pair[0])] = pair.count == 2 ? String(pair[1]) : ""
        }
        var length: Int?
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            switch line[..<colon].lowercased() {
            case "authorization": request.authorization = String(value)
            case "content-length": length = Int(value).flatMap { $0 < 0 ? nil : $0 }
            default: break
            }
        }
        guard isPost, let bodyLimit else { return .request(request) }
        guard let length else { return .refused(411, "a POST says its Content-Length here\n") }
        guard length <= bodyLimit else {
            return .refused(413, "a body has \(bodyLimit) bytes at the most\n")
        }
        // After the line feed at the end of the head, an empty line.
        let start = head.endIndex + (bytes[head.endIndex + 1] == 0x0D ? 3 : 2)
        posted = (request, start..<start + length)
        return finish()
    }
}
