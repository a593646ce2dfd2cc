import Glibc
import Synchronization

/// An open file descriptor with one owner; closed when that owner lets go of it.
struct FileDescriptor: ~Copyable, Sendable {
    let number: Int32

    /// How many descriptors of this type the process has open.
    private static let count = Atomic<Int>(0)
    static var openCount: Int { count.load(ordering: .relaxed) }

    /// Takes over `number`, which nobody else may close from now on.
    init(owning number: Int32) {
        precondition(number >= 0, "\(number) is no file descriptor")
        self.number = number
        Self.count.wrappingAdd(1, ordering: .relaxed)
    }

    deinit {
        _ = close(number)
        Self.count.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Gives the descriptor away; the caller closes it.
    consuming func release() -> Int32 {
        let number = number
        Self.count.wrappingSubtract(1, ordering: .relaxed)
        discard self
        return number
    }
}

/// What one attempt to read or write gave.
enum IOResult: Equatable, Sendable {
    /// So many bytes were moved; at least one.
    case bytes(Int)
    /// Nothing to read, or no room to write, at this moment.
    case wouldBlock
    /// The other side has sent its FIN (reads only).
    case endOfFile
    case failed(SystemError)

    /// Bytes that were moved.
    var count: Int {
        if case .bytes(let count) = self { count } else { 0 }
    }
}
