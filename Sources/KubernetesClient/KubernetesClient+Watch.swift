import FoundationEssentials
import HTTPTransport
package import KubernetesAPI

extension KubernetesClient {
    /// Watches a kind; the watch ends when `body` returns.
    ///
    /// Ends at the latest 5 s after the server should have ended it, and when nothing at all came for
    /// 100 s (the server sends a bookmark every minute or so): a frozen server is noticed.
    package func withWatch<Object: KubernetesObject, Value>(
        _ type: Object.Type = Object.self,
        in scope: Scope = Scope(),
        options: WatchOptions,
        _ body: (WatchEvents<Object>) async throws -> Value
    ) async throws -> Value {
        let timeout = options.timeoutSeconds.map { Duration.seconds($0 + 5) }
        var request = Request.watch(Object.resource, in: scope, options: options)
        if Object.self is any MetadataOnly.Type { request = request.ofMetadata() }
        return try await withStream(request, timeout: timeout, idle: .seconds(100)) { bytes in
            try await body(WatchEvents(bytes: bytes))
        }
    }
}

/// The events of one watch, for one reader, once.
///
/// Throws `APIError.transport` when the connection ends early and `.decoding` when the bytes make no
/// sense. A `.failed` event is an element: the server's own word that the watch is over.
package struct WatchEvents<Object: KubernetesObject>: AsyncSequence {
    package typealias Element = WatchEvent<Object>
    package typealias Failure = APIError

    let bytes: HTTPBody

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(bytes: bytes.makeAsyncIterator())
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        private var bytes: HTTPBody.AsyncIterator
        private var decoder = WatchDecoder<Object>()
        private var events: [WatchEvent<Object>] = []
        private var position = 0
        private var failure: WatchDecodingError?

        init(bytes: HTTPBody.AsyncIterator) { self.bytes = bytes }

        package mutating func next() async throws(APIError) -> WatchEvent<Object>? {
            try await next(isolation: #isolation)
        }

        package mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(APIError) -> WatchEvent<Object>? {
            while position == events.count {
                if let failure { throw .decoding("\(failure)") }
                let chunk: Data?
                do {
                    chunk = try await bytes.next(isolation: actor)
                } catch {
                    throw .transport(error)
                }
                guard let chunk else { return nil }
                events.removeAll(keepingCapacity: true)
                position = 0
                do {
                    try decoder.decode(chunk, into: &events)
                } catch {
                    failure = error
                }
            }
            defer { position += 1 }
            return events[position]
        }
    }
}
