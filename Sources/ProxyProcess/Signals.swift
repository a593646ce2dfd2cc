import Dispatch
import Glibc
import Synchronization

/// SIGTERM, SIGINT and SIGHUP as events; SIGPIPE is ignored.
final class Signals: Sendable {
    private struct State {
        /// Signals that nobody has waited for yet.
        var pending = 0
        var lastWaiter = 0
        var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]
    }

    private final class Box: Sendable {
        let state = Mutex(State())

        func arrive() {
            let waiter = state.withLock { state in
                guard let first = state.waiters.keys.min() else {
                    state.pending += 1
                    return CheckedContinuation<Bool, Never>?.none
                }
                return state.waiters.removeValue(forKey: first)
            }
            waiter?.resume(returning: true)
        }
    }

    private let box = Box()
    /// SIGHUP: whoever listens reads its files again.
    let hangups: AsyncStream<Void>
    /// Held here for their life only.
    private let sources: Mutex<[any DispatchSourceSignal]>

    init() {
        for number in [SIGHUP, SIGPIPE, SIGTERM, SIGINT] { _ = signal(number, SIG_IGN) }
        var made: [any DispatchSourceSignal] = []
        let (hangups, hangup) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        self.hangups = hangups
        for number in [SIGTERM, SIGINT, SIGHUP] {
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { [box] in
                if number == SIGHUP { hangup.yield() } else { box.arrive() }
            }
            source.activate()
            made.append(source)
        }
        sources = Mutex(made)
    }

    /// Waits for the next signal; false when the task was canceled before.
    func next() async -> Bool {
        let id = box.state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = box.state.withLock { state in
                    if state.pending > 0 {
                        state.pending -= 1
                        return true
                    }
                    if Task.isCancelled { return false }
                    state.waiters[id] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            box.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: false)
        }
    }

    /// Does `work`; nil when a signal comes first.
    func unlessNext<Value: Sendable>(
        _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask { [self] in
                _ = await next()
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}

/// Raises the number of files that may be open to what the system allows.
func raiseFileLimit() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard unsafe getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    _ = unsafe setrlimit(resource, &limit)
}
