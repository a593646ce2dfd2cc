import CLibcurl
import FoundationEssentials

/// libcurl's side of one exchange; made, used and freed on the loop's thread only.
@safe final class Transfer {
    let easy: OpaqueHandle
    let exchange: Exchange
    private let idleTimeout: Duration?
    private let start: ContinuousClock.Instant
    /// When the peer last showed a sign of life.
    private var lastSign: ContinuousClock.Instant?
    /// When this transfer is to be ended, whatever comes: also while it waits for a connection, where curl's own limit
    /// does not hold.
    let deadline: ContinuousClock.Instant?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var connectList: UnsafeMutablePointer<curl_slist>?
    private let errorBuffer: UnsafeMutablePointer<CChar>
    private var head = HTTPResponseHead(status: 0)
    private var hasBegun = false

    typealias OpaqueHandle = UnsafeMutableRawPointer

    /// Prepares a handle; on failure the exchange is finished with the reason.
    ///
    /// `sockets` is told of the connections, and outlives them.
    init?(_ request: HTTPRequest, exchange: Exchange, sockets: SocketWatch) {
        guard let easy = unsafe curl_easy_init() else {
            exchange.finish(.failure(TransportError(.unavailable, "libcurl has no memory")))
            return nil
        }
        unsafe self.easy = easy
        self.exchange = exchange
        idleTimeout = request.idleTimeout
        let start = ContinuousClock.now
        self.start = start
        deadline = request.timeout.map { start + $0 }
        unsafe errorBuffer = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorBuffer.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        if let failure = configure(request, sockets) {
            exchange.finish(.failure(failure))
            return nil
        }
    }

    deinit {
        unsafe curl_easy_cleanup(easy)
        unsafe curl_slist_free_all(headerList)
        unsafe curl_slist_free_all(connectList)
        unsafe errorBuffer.deallocate()
    }

    /// When this transfer is to be ended unless its peer shows a sign of life.
    var idleDeadline: ContinuousClock.Instant? { idleTimeout.map { quietSince + $0 } }

    /// Since when nothing came.
    var quietSince: ContinuousClock.Instant { lastSign ?? start }

    /// Whether the request is on its way; before, nobody can have acted on it.
    private var hasSent: Bool { unsafe clibcurl_has_sent(easy) != 0 }

    /// How this transfer ends when its time is over.
    var timeoutError: TransportError {
        hasSent
            ? TransportError(.timedOut, "no whole answer came in time")
            : TransportError(.notConnected, "there was no connection in time")
    }

    func finish(_ code: CURLcode) {
        guard code != CURLE_OK else { return exchange.finish(.success(())) }
        if code == CURLE_OPERATION_TIMEDOUT, !hasSent {
            return exchange.finish(.failure(timeoutError))
        }
        let detail = unsafe String(cString: errorBuffer)
        let message = unsafe detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
        var kind = TransportError.Kind(curlCode: code.rawValue)
        if !hasSent, kind == .broken || Self.isLost(code, message) { kind = .notConnected }
        exchange.finish(.failure(TransportError(kind, message)))
    }

    /// Whether the connection ended within the handshake, as one does that a load balancer took with nobody behind it.
    ///
    /// libcurl has one code for that and for a handshake that failed; of the latter OpenSSL gives a numbered error.
    private static func isLost(_ code: CURLcode, _ message: String) -> Bool {
        code == CURLE_SSL_CONNECT_ERROR
            && (!message.contains("error:") || message.contains("unexpected eof"))
    }
}

// Options.
extension Transfer {
    private func configure(_ request: HTTPRequest, _ sockets: SocketWatch) -> TransportError? {
        var setter = unsafe OptionSetter(easy: easy)
        unsafe setter.set(CURLOPT_ERRORBUFFER, pointer: errorBuffer)
        setter.set(CURLOPT_URL, request.url)
        setter.set(CURLOPT_PROTOCOLS_STR, "https,http")
        setter.set(CURLOPT_NOSIGNAL, 1)
        setter.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        setter.set(CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.milliseconds)
        if request.acceptsCompression { setter.set(CURLOPT_ACCEPT_ENCODING, "gzip") }
        configureConnection(request, sockets, &setter)
        configureTLS(request.tls, &setter)
        configureBody(request, &setter)
        configureHeaders(request, &setter)
        configureCallbacks(&setter)
        return setter.failure
    }

    private func configureConnection(
        _ request: HTTPRequest,
        _ sockets: SocketWatch,
        _ setter: inout OptionSetter
    ) {
        // Idle probes after 5 s, every 2 s; with the watch's bound a dead peer shows in about 10 s.
        setter.set(CURLOPT_TCP_KEEPALIVE, 1)
        setter.set(CURLOPT_TCP_KEEPIDLE, 5)
        setter.set(CURLOPT_TCP_KEEPINTVL, 2)
        unsafe setter.check(clibcurl_watch_sockets(easy, sockets.pointer))
        if request.url.hasPrefix("https:") {
            setter.set(CURLOPT_PIPEWAIT, 1)
            setter.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
        } else {
            // Without TLS nothing is negotiated: waiting for a connection to share would be waiting for the end of
            // the first stream (`kubectl proxy` is such a server).
            setter.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        }
        switch request.proxy {
        case .environment where isLoopback(request.url): setter.set(CURLOPT_NOPROXY, "*")
        case .environment: break
        case .none: setter.set(CURLOPT_NOPROXY, "*")
        case .url(let url): setter.set(CURLOPT_PROXY, url)
        }
        if let (host, port) = request.connectTo {
            unsafe connectList = curl_slist_append(nil, "::\(host):\(port)")
            unsafe setter.set(CURLOPT_CONNECT_TO, pointer: connectList)
        }
    }

    private func configureTLS(_ material: TLSMaterial, _ setter: inout OptionSetter) {
        if let authorities = material.authorities {
            setter.set(CURLOPT_CAINFO_BLOB, blob: authorities)
            // Otherwise the system's authorities would be trusted as well.
            unsafe setter.check(clibcurl_set_string(easy, CURLOPT_CAPATH, nil))
        }
        if let certificate = material.certificate, let key = material.key {
            setter.set(CURLOPT_SSLCERT_BLOB, blob: certificate)
            setter.set(CURLOPT_SSLCERTTYPE, "PEM")
            setter.set(CURLOPT_SSLKEY_BLOB, blob: key)
            setter.set(CURLOPT_SSLKEYTYPE, "PEM")
        }
        if !material.verifiesPeer {
            setter.set(CURLOPT_SSL_VERIFYPEER, 0)
            setter.set(CURLOPT_SSL_VERIFYHOST, 0)
        }
    }

    private func configureBody(_ request: HTTPRequest, _ setter: inout OptionSetter) {
        if request.method == "HEAD" { setter.set(CURLOPT_NOBODY, 1) }
        guard request.body != nil || request.method == "POST" || request.method == "PUT" else {
            if request.method != "GET" { setter.set(CURLOPT_CUSTOMREQUEST, request.method) }
            return
        }
        let body = request.body ?? Data()
        setter.set(CURLOPT_POST, 1)
        unsafe setter.check(
            clibcurl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
        )
        unsafe body.withUnsafeBytes { bytes in
            let base = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress)
            unsafe setter.set(CURLOPT_COPYPOSTFIELDS, pointer: base)
        }
        setter.set(CURLOPT_CUSTOMREQUEST, request.method)
    }

    private func configureHeaders(_ request: HTTPRequest, _ setter: inout OptionSetter) {
        var lines = request.headers.map { "\($0.name): \($0.value)" }
        // No waiting for "100 Continue", and no content type that curl made up.
        lines.append("Expect:")
        if request.body != nil, !request.headers.contains(where: { isContentType($0.name) }) {
            lines.append("Content-Type:")
        }
        for line in lines {
            guard !line.utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) else {
                setter.fail(TransportError(.invalidRequest, "a header contains a line break"))
                return
            }
            unsafe headerList = curl_slist_append(headerList, line)
        }
        unsafe setter.set(CURLOPT_HTTPHEADER, pointer: headerList)
    }

    private func isContentType(_ name: String) -> Bool { name.lowercased() == "content-type" }

    private func configureCallbacks(_ setter: inout OptionSetter) {
        // The loop's table keeps this object alive for as long as the handle is in the multi.
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe setter.set(CURLOPT_WRITEDATA, pointer: context)
        unsafe setter.set(CURLOPT_HEADERDATA, pointer: context)
        unsafe setter.check(
            clibcurl_set_data_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
                guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
                let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
                let data = unsafe Data(bytes: bytes, count: size * count)
                transfer.noteSign()
                return transfer.exchange.receive(data) ? size * count : 0
            }
        )
        unsafe setter.check(
            clibcurl_set_data_callback(easy, CURLOPT_HEADERFUNCTION) {
                bytes,
                size,
                count,
                context in
                guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
                let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
                let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
                unsafe transfer.receiveHeader(String(decoding: line, as: UTF8.self))
                return size * count
            }
        )
    }
}

// What comes in.
extension Transfer {
    private func noteSign() { lastSign = .now }

    /// One line of a block of headers; blocks of interim answers (1xx) are passed over.
    private func receiveHeader(_ line: String) {
        noteSign()
        let line = line.trimmingLineEnd()
        if line.hasPrefix("HTTP/"), !hasBegun {
            let status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            head = HTTPResponseHead(status: status ?? 0)
        } else if line.isEmpty {
            guard !hasBegun, head.status >= 200 else { return }
            hasBegun = true
            exchange.begin(head)
        } else if !hasBegun, let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            head.headers.append((String(line[..<colon]), String(value)))
        }
    }
}

extension String {
    fileprivate func trimmingLineEnd() -> String {
        // A carriage return and a line feed are one Character.
        String(prefix { !$0.isNewline })
    }
}

private func isLoopback(_ url: String) -> Bool {
    let authority = url.drop { $0 != ":" }.dropFirst(3).prefix { $0 != "/" && $0 != "?" }
    return authority.hasPrefix("127.") || authority.hasPrefix("[::1]")
        || authority == "localhost" || authority.hasPrefix("localhost:")
}

extension Duration {
    fileprivate var milliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}

/// Sets options until one fails, and keeps that failure.
@safe private struct OptionSetter {
    let easy: Transfer.OpaqueHandle
    private(set) var failure: TransportError?

    init(easy: Transfer.OpaqueHandle) { unsafe self.easy = easy }

    mutating func fail(_ error: TransportError) { failure = failure ?? error }

    mutating func check(_ code: CURLcode) {
        guard code != CURLE_OK else { return }
        let message = unsafe String(cString: curl_easy_strerror(code))
        fail(TransportError(.invalidRequest, "libcurl refuses an option: \(message)"))
    }

    mutating func set(_ option: CURLoption, _ value: Int) {
        unsafe check(clibcurl_set_long(easy, option, value))
    }

    mutating func set(_ option: CURLoption, _ value: String) {
        guard !value.utf8.contains(0) else {
            return fail(TransportError(.invalidRequest, "a value contains a null byte"))
        }
        unsafe check(clibcurl_set_string(easy, option, value))
    }

    mutating func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer?) {
        unsafe check(clibcurl_set_pointer(easy, option, pointer))
    }

    mutating func set(_ option: CURLoption, blob: Data) {
        let code = unsafe blob.withUnsafeBytes { bytes in
            unsafe clibcurl_set_blob(easy, option, bytes.baseAddress, bytes.count)
        }
        check(code)
    }
}
