import CLinux
import Glibc
import Synchronization

/// The only door between threads: closures that are run on one loop's thread, in the order of posting.
///
/// Whoever posts bounds what it posts: the mailbox itself refuses nothing while its loop runs.
final class Mailbox: Sendable {
    typealias Letter = @Sendable (EventLoop) -> Void

    /// What waits, and on whose account it is to be done; nil: on nobody's.
    typealias Item = (letter: Letter, account: AccountNumber?)

    private struct State {
        var letters: [Item] = []
        var isSignaled = false
        var isClosed = false
    }

    private let state = Mutex(State())
    let event: FileDescriptor

    init() throws(SystemError) {
        let number = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        guard number >= 0 else { throw .last("eventfd") }
        event = FileDescriptor(owning: number)
    }

    /// Runs `letter` on the loop's thread soon; false when the loop has ended and the letter was dropped.
    ///
    /// Letters on an account wait while it has used up its share of the loop's turn. Those on the same account keep their order,
    /// and come after what was posted on none before; what is posted on none later may overtake them.
    @discardableResult
    func post(
        on account: AccountNumber? = nil,
        _ letter: @escaping Letter
    ) -> Bool {
        let (accepted, mustSignal) = state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.letters.append((letter, account))
            defer { state.isSignaled = true }
            return (true, !state.isSignaled)
        }
        if mustSignal { signal() }
        return accepted
    }

    /// How many letters wait.
    var depth: Int { state.withLock { $0.letters.count } }

    private func signal() {
        var one: UInt64 = 1
        // A full counter (EAGAIN) means that the loop has been woken already.
        _ = unsafe withUnsafeBytes(of: &one) {
            unsafe write(event.number, $0.baseAddress, $0.count)
        }
    }

    /// Takes what waits and acknowledges the signal; the loop's thread only.
    func take() -> [Item] {
        state.withLock { state in
            guard state.isSignaled else { return [] }
            var count: UInt64 = 0
            _ = unsafe withUnsafeMutableBytes(of: &count) {
                unsafe read(event.number, $0.baseAddress, $0.count)
            }
            state.isSignaled = false
            defer { state.letters = [] }
            return state.letters
        }
    }

    /// Drops what waits and refuses what comes.
    func close() {
        let dropped = state.withLock { state in
            state.isClosed = true
            defer { state.letters = [] }
            return state.letters
        }
        // Destroyed here, outside the lock: what a letter captured may post in its own deinit.
        _ = dropped
    }
}
