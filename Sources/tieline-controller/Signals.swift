import Dispatch
import Glibc

/// Runs `body` and cancels it on SIGTERM or SIGINT.
func untilSignaled(_ body: @escaping @Sendable () async throws -> Void) async throws {
    let (signals, arrived) = AsyncStream<Int32>.makeStream()
    let sources = [SIGTERM, SIGINT].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { arrived.yield(number) }
        source.resume()
        return source
    }
    defer { for source in sources { source.cancel() } }
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await body() }
        group.addTask { for await _ in signals { return } }
        defer { group.cancelAll() }
        try await group.next()
        group.cancelAll()
        try await group.waitForAll()
    }
}
