import FoundationEssentials
import Synchronization

/// One request under way: filled by the loop's thread, read by one task.
final class Exchange: Sendable {
    /// What the reader waits for.
    private enum Wanted { case head, chunk, end }

    private struct State {
        var head: HTTPResponseHead?
        var chunks: [Data] = []
        var buffered = 0
        /// Set once: how it ended.
        var end: Result<Void, TransportError>?
        var waiter: (wanted: Wanted, continuation: CheckedContinuation<Void, Never>)?

        func has(_ wanted: Wanted) -> Bool {
            if end != nil { return true }
            return switch wanted {
            case .head: head != nil
            case .chunk: !chunks.isEmpty
            case .end: false
            }
        }

        mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
            guard let waiter, has(waiter.wanted) else { return nil }
            self.waiter = nil
            return waiter.continuation
        }
    }

    private let state = Mutex(State())
    /// Bytes held at most; what that means differs for streams and whole bodies.
    private let limit: Int
    private let onAbandon: @Sendable () -> Void

    /// Makes an exchange whose `onAbandon` is called at most once, when its reader gives up first.
    init(limit: Int, onAbandon: @escaping @Sendable () -> Void) {
        self.limit = limit
        self.onAbandon = onAbandon
    }
}

// The loop's side. Continuations are resumed after the lock is released.
extension Exchange {
    func begin(_ head: HTTPResponseHead) {
        change { state in if state.head == nil { state.head = head } }
    }

    /// Takes bytes; false when they do not fit and the transfer is to be ended.
    func receive(_ bytes: Data) -> Bool {
        change { state in
            guard state.end == nil else { return false }
            guard state.buffered + bytes.count <= limit else {
                let message = "more than \(limit) bytes wait to be read"
                state.end = .failure(TransportError(.overflow, message))
                return false
            }
            state.buffered += bytes.count
            state.chunks.append(bytes)
            return true
        }
    }

    func finish(_ result: Result<Void, TransportError>) {
        change { state in if state.end == nil { state.end = result } }
    }

    @discardableResult
    private func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let (value, waiter) = state.withLock { state in
            let value = body(&state)
            return (value, state.takeWaiter())
        }
        waiter?.resume()
        return value
    }
}

// The reader's side.
extension Exchange {
    func head() async throws(TransportError) -> HTTPResponseHead {
        await wait(for: .head)
        let (head, end) = state.withLock { ($0.head, $0.end) }
        if let head { return head }
        if case .failure(let error)? = end { throw error }
        throw TransportError(.broken, "the connection ended without an answer")
    }

    /// The next bytes; nil at a proper end.
    ///
    /// What came before a failure is delivered first.
    func nextChunk() async throws(TransportError) -> Data? {
        await wait(for: .chunk)
        let (chunk, end) = state.withLock { state -> (Data?, Result<Void, TransportError>?) in
            guard !state.chunks.isEmpty else { return (nil, state.end) }
            var chunk = state.chunks[0]
            // Together, so that a slow reader catches up in few steps.
            for next in state.chunks.dropFirst() { chunk.append(next) }
            state.chunks = []
            state.buffered = 0
            return (chunk, nil)
        }
        if let chunk { return chunk }
        if case .failure(let error)? = end { throw error }
        return nil
    }

    func wholeBody() async throws(TransportError) -> Data {
        await wait(for: .end)
        var body = Data()
        while let chunk = try await nextChunk() {
            if body.isEmpty { body = chunk } else { body.append(chunk) }
        }
        return body
    }

    /// Ends the exchange from the reader's side; no effect after its end.
    func abandon() {
        let isFirst = change { state in
            guard state.end == nil else { return false }
            state.end = .failure(TransportError(.canceled, "canceled"))
            return true
        }
        if isFirst { onAbandon() }
    }

    private func wait(for wanted: Wanted) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    precondition(state.waiter == nil, "an exchange has one reader")
                    guard !state.has(wanted) else { return true }
                    state.waiter = (wanted, continuation)
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            abandon()
        }
    }
}
