/// The memory of one loop's rings, by size class; confined to its loop.
///
/// A ring takes memory when its first byte comes and gives it back when its last byte is acknowledged, so an idle
/// stream owns none. What is given back is kept for reuse up to a limit.
@safe
package final class BufferPool {
    package static let minimumShift = 7
    package static let maximumShift = 24
    package static let scratchSize = 4_096
    /// Bytes kept for reuse at most.
    package var keptLimit = 32 << 20

    /// Bytes that rings hold now.
    package private(set) var used = 0
    /// Where the memory comes from; nil for the loop's own pool.
    private let parent: BufferPool?
    /// Where little is read before it is known how little; lent within one call.
    package let scratch: UnsafeMutableRawBufferPointer
    /// Who answers for it, if it is not held on this proxy's own account.
    package let account: (any RingAccount)?
    private var kept = 0
    private var free: [[UnsafeMutableRawBufferPointer]] = unsafe Array(
        repeating: [],
        count: maximumShift - minimumShift + 1
    )

    package init() {
        parent = nil
        account = nil
        unsafe scratch = .allocate(byteCount: Self.scratchSize, alignment: 64)
    }

    /// Hands on the memory of `parent`, and counts it for `account`.
    package init(drawingFrom parent: BufferPool, account: any RingAccount) {
        self.parent = parent
        self.account = account
        unsafe scratch = parent.scratch
    }

    /// What another pool with the same memory has handed out is held by this one from now on.
    package func takeOver(_ count: Int, from other: BufferPool) {
        other.account?.give(ringBytes: count)
        account?.add(ringBytes: count)
    }

    /// Gives back what is kept for reuse.
    package func trim() {
        for index in unsafe free.indices {
            while let memory = unsafe free[index].popLast() { unsafe memory.deallocate() }
        }
        kept = 0
    }

    deinit {
        if parent == nil { unsafe scratch.deallocate() }
        for index in unsafe free.indices {
            while let memory = unsafe free[index].popLast() { unsafe memory.deallocate() }
        }
    }

    /// A buffer that holds `count` bytes, of the least power of two from 128 bytes to 16 MiB; its bytes are arbitrary.
    package func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let index = Self.index(count)
        let size = 1 << (index + Self.minimumShift)
        account?.add(ringBytes: size)
        if let parent { return unsafe parent.take(count) }
        used += size
        if let memory = unsafe free[index].popLast() {
            kept -= size
            return unsafe memory
        }
        return .allocate(byteCount: size, alignment: 64)
    }

    package func give(_ memory: UnsafeMutableRawBufferPointer) {
        let size = memory.count
        account?.give(ringBytes: size)
        if let parent { return unsafe parent.give(memory) }
        used -= size
        if kept + size <= keptLimit {
            kept += size
            unsafe free[Self.index(size)].append(memory)
        } else {
            unsafe memory.deallocate()
        }
    }

    private static func index(_ count: Int) -> Int {
        precondition(count <= 1 << maximumShift, "a ring of \(count) bytes")
        let bits = Int.bitWidth - max(count - 1, 1).leadingZeroBitCount
        return max(bits, minimumShift) - minimumShift
    }
}

/// Whoever makes this proxy hold bytes in rings, and has a share of that; a class since all loops draw on it.
package protocol RingAccount: AnyObject, Sendable {
    func add(ringBytes count: Int)
    func give(ringBytes count: Int)
    /// More than half of the share is in use.
    var isHalfUsed: Bool { get }
    /// Whether `count` more bytes fit into the share; a refusal is counted.
    func admits(ringBytes count: Int) -> Bool
}
