import Glibc

/// A system call that failed: which one, and why.
struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call or the step, as an operator would name it: `connect`, `listen`, `resolve`.
    let operation: String
    /// An `errno` value.
    let code: Int32

    init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    /// The error that the C library has just set.
    static func last(_ operation: String) -> SystemError { SystemError(operation, code: errno) }

    var description: String {
        guard let text = unsafe strerror(code) else { return "\(operation): error \(code)" }
        return unsafe "\(operation): \(String(cString: text))"
    }
}
