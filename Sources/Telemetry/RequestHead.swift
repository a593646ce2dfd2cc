/// Reads the head of an HTTP/1 request (RFC 9112) as it arrives.
struct RequestHead {
    enum Progress: Equatable {
        case incomplete
        case request(AdminRequest)
        /// Answered with this status, and the reason.
        case refused(Int, String)
    }

    /// Request line and header fields together.
    static let limit = 8_192

    private var bytes: [UInt8] = []
    /// Where the search for the end goes on.
    private var searched = 0

    /// Takes what has come; nothing is to follow once the answer is not `incomplete`.
    mutating func append(_ new: ArraySlice<UInt8>) -> Progress {
        bytes += new
        guard let end = end() else {
            return bytes.count < Self.limit
                ? .incomplete
                : .refused(431, "the head of a request has \(Self.limit) bytes at the most\n")
        }
        return Self.parse(bytes[..<end])
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

    private static func parse(_ head: ArraySlice<UInt8>) -> Progress {
        let lines = String(decoding: head, as: UTF8.self)
            .split(omittingEmptySubsequences: false) { $0.isNewline }
        let words = lines[0].split(separator: " ")
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else {
            return .refused(400, "this is not an HTTP/1 request\n")
        }
        guard ["GET", "HEAD"].contains(words[0]) else {
            return .refused(405, "only GET and HEAD are answered here\n")
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
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"),
                line[..<colon].lowercased() == "authorization"
            else { continue }
            let value = line[line.index(after: colon)...]
            request.authorization = String(value.drop { $0 == " " || $0 == "\t" })
        }
        return .request(request)
    }
}
