import CLinux
import Glibc
import Synchronization

/// A running loop, seen from other threads.
final class EventLoopThread: Sendable {
    let index: Int
    let mailbox: Mailbox
    /// Tells from outside whether the loop turns.
    let stamp: TurnStamp
    private let thread: ThreadID

    /// Starts a thread that runs a loop; `setUp` is the first thing that happens on it.
    ///
    /// - Throws: when no thread, eventfd or epoll instance can be had.
    init(
        index: Int,
        setUp: @escaping @Sendable (EventLoop) -> Void = { _ in }
    ) throws(SystemError) {
        self.index = index
        let mailbox = try Mailbox()
        self.mailbox = mailbox
        let loop = try EventLoop(index: index, mailbox: mailbox)
        stamp = loop.stamp
        thread = try startThread(name: "loop-\(index)") {
            setUp(loop)
            loop.run()
        }
    }

    /// Ends the loop after its current turn and waits for its thread; not to be called on that thread, and once only.
    func stop() {
        mailbox.post { $0.stop() }
        thread.join()
    }
}

/// A thread that can be joined once.
struct ThreadID: Sendable {
    private let number: pthread_t

    fileprivate init(_ number: pthread_t) { self.number = number }

    func join() {
        _ = pthread_join(number, nil)
    }
}

/// Runs `body` on a new thread, whose signals are all blocked: signals belong to the main thread.
private func startThread(
    name: String,
    _ body: sending @escaping () -> Void
) throws(SystemError) -> ThreadID {
    final class Box {
        let name: String
        let body: () -> Void
        init(_ name: String, _ body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }
    let box = unsafe Unmanaged.passRetained(Box(name, body))
    var number = pthread_t()
    var blocked = sigset_t()
    var previous = sigset_t()
    unsafe sigfillset(&blocked)
    unsafe pthread_sigmask(SIG_SETMASK, &blocked, &previous)
    let status = unsafe pthread_create(
        &number,
        nil,
        { pointer in
            guard let pointer = unsafe pointer else { return nil }
            let box = unsafe Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue()
            _ = unsafe clinux_name_thread(box.name)
            box.body()
            return nil
        },
        box.toOpaque()
    )
    unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
    guard status == 0 else {
        unsafe box.release()
        throw SystemError("pthread_create", code: status)
    }
    return ThreadID(number)
}
