import CLinux
import Glibc
import NetworkModel

/// A pipe between two sockets: bytes move through it without being copied.
final class RelayPipe {
    /// As many buffers as pages: small segments of the network use one each.
    private static let capacity: Int32 = 1 << 20

    fileprivate let input: FileDescriptor
    fileprivate let output: FileDescriptor
    /// Bytes that are in it.
    fileprivate(set) var count = 0

    /// Nil when the kernel refuses: an ordinary user has 64 MiB for all pipes.
    init?() {
        var (from, to): (Int32, Int32) = (-1, -1)
        guard unsafe clinux_pipe(&from, &to, Self.capacity) == 0 else { return nil }
        output = FileDescriptor(owning: from)
        input = FileDescriptor(owning: to)
    }
}

extension FileDescriptor {
    /// Moves at most `limit` bytes that this socket has received; only while the pipe is empty, for a full one blocks as well.
    func splice(into pipe: RelayPipe, atMost limit: Int) -> IOResult {
        precondition(pipe.count == 0, "fill a pipe with \(pipe.count) bytes")
        let result = splice(to: pipe.input, atMost: limit)
        pipe.count += result.count
        return result
    }

    /// Gives this socket what it takes.
    func splice(from pipe: RelayPipe) -> IOResult {
        let result = pipe.output.splice(to: self, atMost: pipe.count)
        pipe.count -= result.count
        return result
    }
}

/// The pipes of one loop: a relay has one only while it moves much, or while its target is behind.
final class RelayPipes {
    /// At one time.
    static let limit = 32
    /// Kept for the next; each counts against what the user may have.
    private static let keptLimit = 4
    /// After the kernel has refused one.
    private static let pause = Duration.seconds(1)

    private var kept: [RelayPipe] = []
    private(set) var count = 0
    private var nextTry: Instant?

    /// An empty pipe; nil when there is none to be had: then bytes are copied.
    func take(at now: Instant) -> RelayPipe? {
        if let pipe = kept.popLast() { return pipe }
        if let nextTry, now < nextTry { return nil }
        guard count < Self.limit, DescriptorBudget.hasRoomForClient else { return nil }
        guard let pipe = RelayPipe() else {
            nextTry = now + Self.pause
            return nil
        }
        count += 1
        return pipe
    }

    /// Takes it back; one that is not empty is closed, and what is in it is lost.
    func give(_ pipe: RelayPipe) {
        if pipe.count == 0, kept.count < Self.keptLimit {
            kept.append(pipe)
        } else {
            count -= 1
        }
    }
}
