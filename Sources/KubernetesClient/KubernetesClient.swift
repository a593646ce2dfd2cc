package import FoundationEssentials
package import HTTPTransport
package import KubernetesAPI

/// Sends requests to one API server.
///
/// Cheap to copy: copies share the transport, thus its connections.
package struct KubernetesClient: Sendable {
    package let configuration: ClientConfiguration
    /// Also fit for other HTTP requests of the process.
    package let transport: HTTPTransport
    /// The longest time for a request that says no other; watches have their own.
    package var timeout = Duration.seconds(30)
    private let userAgent: String
    private let onWarning: @Sendable (String) -> Void
    /// How long a write may still take; nil: none may begin.
    private let fence: @Sendable () -> Duration?
    /// What requests share with those of other copies; watches are free.
    private var pace: RequestPace?
    /// Of a configuration with a credential plugin.
    private let credentials: PluginCredentials?

    /// Makes a client; `onWarning` is told of each warning that the server attaches to an answer.
    package init(
        configuration: ClientConfiguration,
        transport: HTTPTransport = HTTPTransport(),
        userAgent: String = "tieline",
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        var credentials: PluginCredentials?
        if case .plugin(let plugin) = configuration.credential {
            credentials = PluginCredentials(plugin)
        }
        self.init(configuration, transport, userAgent, onWarning, credentials) { .seconds(3600) }
    }

    private init(
        _ configuration: ClientConfiguration,
        _ transport: HTTPTransport,
        _ userAgent: String,
        _ onWarning: @escaping @Sendable (String) -> Void,
        _ credentials: PluginCredentials?,
        fence: @escaping @Sendable () -> Duration?
    ) {
        self.configuration = configuration
        self.transport = transport
        self.userAgent = userAgent
        self.onWarning = onWarning
        self.credentials = credentials
        self.fence = fence
    }

    /// The same client, whose writes fail with `.fenced` when `fence` is nil just before, and else take no longer than
    /// it says.
    package func fenced(by fence: @escaping @Sendable () -> Duration?) -> KubernetesClient {
        var client = KubernetesClient(
            configuration,
            transport,
            userAgent,
            onWarning,
            credentials,
            fence: fence
        )
        client.timeout = timeout
        client.pace = pace
        return client
    }

    /// The same client, whose requests wait for their turn; watches do not.
    package func paced(by pace: RequestPace) -> KubernetesClient {
        var client = self
        client.pace = pace
        return client
    }

    /// Sends a request and gives the body of a successful answer.
    ///
    /// A status outside 200...299 is thrown as `.status`. A server that is too busy (429, or 503 with Retry-After) is asked
    /// again when it says, five times at the most, and never later than the time of one request.
    package func send(
        _ request: Request,
        timeout: Duration? = nil
    ) async throws(APIError) -> Data {
        var response = try await attempt(request, timeout)
        if response.status == 401, await refuse(response.credential) {
            // Nothing was done yet: the same request again, with what the plugin gives out now.
            response = try await attempt(request, timeout)
        }
        var tries = 0
        while tries < 5, let pause = response.pause, pause <= timeout ?? self.timeout,
            (try? await Task.sleep(for: pause)) != nil
        {
            tries += 1
            response = try await attempt(request, timeout)
        }
        for value in response.head.values(of: "Warning") { onWarning(warningText(value)) }
        guard response.head.isSuccess else {
            throw .status(failure(response.head, response.body))
        }
        return response.body
    }

    private struct Answer {
        var head: HTTPResponseHead
        var body: Data
        /// With which it was asked for.
        var credential: PluginCredential?

        var status: Int { head.status }

        /// After which time the server, which has done nothing yet, wants to be asked again; nil: it does not say so.
        var pause: Duration? {
            guard status == 429 || status == 503,
                let seconds = head.values(of: "Retry-After").first.flatMap({ Int($0) }),
                seconds >= 0
            else { return nil }
            return .seconds(seconds)
        }
    }

    private func attempt(
        _ request: Request,
        _ timeout: Duration?
    ) async throws(APIError) -> Answer {
        await pace?.turn()
        let credential = try await credentials?.get()
        var limit = timeout ?? self.timeout
        if request.method != .get {
            guard let rest = fence() else { throw .fenced }
            limit = min(limit, rest)
        }
        var message = try httpRequest(request, credential)
        message.timeout = limit
        do {
            let response = try await transport.send(message)
            return Answer(head: response.head, body: response.body, credential: credential)
        } catch {
            throw .transport(error)
        }
    }

    /// Gives up a plugin's credential that was refused; false when there is none.
    private func refuse(_ credential: PluginCredential?) async -> Bool {
        guard let credential, let credentials else { return false }
        await credentials.refuse(credential)
        return true
    }

    /// Opens a watch; it ends when `body` returns.
    ///
    /// Between two pieces of its answer at most `idle` may pass, in all at most `timeout`. Fails with
    /// `APIError`, or as `body` does.
    package func withStream<Value>(
        _ request: Request,
        timeout: Duration?,
        idle: Duration?,
        _ body: (HTTPBody) async throws -> Value
    ) async throws -> Value {
        let credential = try await credentials?.get()
        var message = try httpRequest(request, credential)
        message.timeout = timeout
        message.idleTimeout = idle
        do {
            return try await transport.withStream(message) { head, bytes in
                guard head.isSuccess else {
                    // Watches are opened again by whoever needs them.
                    if head.status == 401 { _ = await refuse(credential) }
                    throw APIError.status(failure(head, try await bytes.collect()))
                }
                return try await body(bytes)
            }
        } catch let error as TransportError {
            throw APIError.transport(error)
        }
    }
}

extension KubernetesClient {
    private func httpRequest(
        _ request: Request,
        _ credential: PluginCredential?
    ) throws(APIError) -> HTTPRequest {
        var server = configuration.server
        var message = HTTPRequest(method: request.method.rawValue, url: server)
        if let name = configuration.tlsServerName, let target = HostAndPort(url: server) {
            server = "https://\(name):\(target.port)"
            message.connectTo = (target.host, target.port)
        }
        message.url = server + request.target
        message.headers = [("Accept", request.accept), ("User-Agent", userAgent)]
        if let type = request.contentType { message.headers.append(("Content-Type", type)) }
        if let value = try authorization(credential) {
            message.headers.append(("Authorization", value))
        }
        message.headers += configuration.impersonation?.headers ?? []
        message.body = request.body
        message.tls = configuration.tls
        if let certificate = credential?.certificate {
            message.tls.certificate = certificate
            message.tls.key = credential?.key
        }
        message.proxy = configuration.proxy
        // A single object is not worth compressing; long lists shrink to a tenth.
        message.acceptsCompression = request.query.contains { $0.name == "limit" }
        return message
    }

    /// The value of the Authorization header.
    private func authorization(_ credential: PluginCredential?) throws(APIError) -> String? {
        switch configuration.credential {
        case .none: return nil
        case .token(let token): return "Bearer \(token)"
        case .password(let user, let password):
            return "Basic \(Data("\(user):\(password)".utf8).base64EncodedString())"
        case .plugin: return credential?.token.map { "Bearer \($0)" }
        case .tokenFile(let path, let fallback):
            do {
                let text = String(decoding: try readFile(path), as: UTF8.self)
                return "Bearer \(text.prefix { !$0.isNewline })"
            } catch {
                if let fallback { return "Bearer \(fallback)" }
                throw .request(error.description)
            }
        }
    }
}

extension ClientConfiguration.Impersonation {
    fileprivate var headers: [(name: String, value: String)] {
        var headers = [(name: "Impersonate-User", value: user)]
        headers += groups.map { ("Impersonate-Group", $0) }
        if let uid { headers.append(("Impersonate-Uid", uid)) }
        for (key, values) in extra.sorted(by: { $0.key < $1.key }) {
            headers += values.map { ("Impersonate-Extra-\(escaped(key))", $0) }
        }
        return headers
    }

    /// A header's name has no other characters; the API server takes the escapes back.
    private func escaped(_ key: String) -> String {
        key.utf8.map { byte in
            let isPlain =
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || "-_.".utf8.contains(byte)
            let hex = String(byte, radix: 16, uppercase: true)
            return isPlain
                ? String(UnicodeScalar(byte)) : "%" + (hex.count == 1 ? "0" : "") + hex
        }.joined()
    }
}

/// The status document of a failed answer, or one made from what there is.
private func failure(_ head: HTTPResponseHead, _ body: Data) -> APIStatus {
    var status = (try? JSONDecoder().decode(APIStatus.self, from: body)) ?? APIStatus()
    if status.status == nil {
        status = APIStatus(code: head.status)
        status.message = String(decoding: body.prefix(512), as: UTF8.self)
    }
    status.code = status.code ?? head.status
    if status.details?.retryAfterSeconds == nil,
        let seconds = head.values(of: "Retry-After").first.flatMap({ Int($0) })
    {
        status.details = status.details ?? APIStatus.Details()
        status.details?.retryAfterSeconds = seconds
    }
    return status
}

/// The text of a `Warning` header: `299 - "text"`.
private func warningText(_ value: String) -> String {
    guard let start = value.firstIndex(of: "\""), let end = value.lastIndex(of: "\""), start < end
    else { return value }
    return String(value[value.index(after: start)..<end].replacing("\\\"", with: "\""))
}

/// The host and port of an `https` URL.
private struct HostAndPort {
    let host: String
    let port: Int

    init?(url: String) {
        guard url.hasPrefix("https://") else { return nil }
        let authority = url.dropFirst(8).prefix { $0 != "/" }
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            guard let number = Int(authority[authority.index(after: colon)...]) else { return nil }
            host = String(authority[..<colon])
            port = number
        } else {
            host = String(authority)
            port = 443
        }
    }
}
