import CLinux
import Glibc

/// What a system call refused.
struct SystemError: Error, CustomStringConvertible {
    let operation: String
    let code: Int32

    var description: String { "\(operation): \(unsafe String(cString: strerror(code)))" }

    /// Turns a result of the form "negative errno on failure" into a value or an error.
    @discardableResult
    static func check(_ result: Int32, _ operation: String) throws(SystemError) -> Int32 {
        guard result >= 0 else { throw SystemError(operation: operation, code: -result) }
        return result
    }

    /// The same for calls that return -1 and set errno.
    @discardableResult
    static func checkErrno(_ result: Int32, _ operation: String) throws(SystemError) -> Int32 {
        guard result >= 0 else { throw SystemError(operation: operation, code: errno) }
        return result
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs a closure on a thread of its own, for calls that block or that change the thread's namespaces.
func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    unsafe pthread_attr_setstacksize(&attributes, 512 * 1024)
    let argument = unsafe Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let result = unsafe pthread_create(
        &thread,
        &attributes,
        { argument in
            if let argument = unsafe argument {
                unsafe Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
            }
            return nil
        },
        argument
    )
    unsafe pthread_attr_destroy(&attributes)
    precondition(result == 0, "no thread could be started: error \(result)")
}

/// Runs a blocking closure on a thread of its own and waits for its value.
func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        startThread { continuation.resume(with: Result(catching: body)) }
    }
}
