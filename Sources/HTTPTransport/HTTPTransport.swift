package import FoundationEssentials

/// HTTP requests and streams as async values; the only user of libcurl.
///
/// Short requests and endless streams are driven by one thread each, so that a burst of requests never
/// waits behind streams. HTTP/2 over TLS where the server speaks it: many exchanges, few connections.
/// Both threads end when the last reference to the transport goes.
package final class HTTPTransport: Sendable {
    private let requests: CurlLoop
    private let streams: CurlLoop

    private static let streamLimit = 700

    package init() {
        requests = CurlLoop(name: "http-requests", hostConnections: 2, streamLimit: 100_000)
        // A stream that waits for a connection waits for ever, so each may have one of its own. Over HTTP/2 they share: another
        // connection is opened only when a server allows no more streams (some 100) on those that are there.
        streams = CurlLoop(
            name: "http-streams",
            hostConnections: Self.streamLimit,
            streamLimit: Self.streamLimit
        )
    }

    deinit {
        requests.stop()
        streams.stop()
    }

    /// Sends a request and collects the answer, whatever its status.
    ///
    /// Ends early with `.canceled` when the task is canceled.
    package func send(_ request: HTTPRequest) async throws(TransportError) -> HTTPResponse {
        let exchange = try requests.start(request, limit: request.bodyLimit)
        let body = try await exchange.wholeBody()
        return HTTPResponse(head: try await exchange.head(), body: body)
    }

    /// Sends a request and hands its answer over as it comes.
    ///
    /// The stream lives as long as `body` runs: leaving it, by whatever way, ends the exchange.
    package func withStream<Value>(
        _ request: HTTPRequest,
        _ body: (HTTPResponseHead, HTTPBody) async throws -> Value
    ) async throws -> Value {
        let exchange = try streams.start(request, limit: request.streamLimit)
        defer { exchange.abandon() }
        return try await body(exchange.head(), HTTPBody(exchange: exchange))
    }
}

/// The bytes of an answer as they arrive; for one reader, once.
///
/// When the reader is slower than the sender, bytes wait up to the request's `streamLimit`; then the
/// stream ends with `.overflow`. Nothing is ever paused: that would stall others on the connection.
package struct HTTPBody: AsyncSequence, Sendable {
    package typealias Element = Data
    package typealias Failure = TransportError

    let exchange: Exchange

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(exchange: exchange) }

    package struct AsyncIterator: AsyncIteratorProtocol {
        let exchange: Exchange

        package mutating func next() async throws(TransportError) -> Data? {
            try await exchange.nextChunk()
        }

        package mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TransportError) -> Data? {
            try await exchange.nextChunk()
        }
    }

    /// Waits for the end and gives all bytes.
    package func collect() async throws(TransportError) -> Data {
        try await exchange.wholeBody()
    }
}
