/// The memory of one loop's rings, by size class; confined to its loop.
///
/// A ring takes memory when its first byte comes and gives it back when its last byte is acknowledged, so an idle
/// stream owns none. What is given back is kept for reuse up to a limit.
@safe
final class BufferPool {
    static let minimumShift = 12
    static let maximumShift = 24
    /// Bytes kept for reuse.
    private static let keptLimit = 32 << 20

    /// Bytes that rings hold now.
    private(set) var used = 0
    /// Where the memory comes from; nil for the loop's own pool.
    private let parent: BufferPool?
    /// The neighbor site for which it is held.
    let account: NeighborAccount?
    private var kept = 0
    private var free: [[UnsafeMutableRawBufferPointer]] = unsafe Array(
        repeating: [],
        count: maximumShift - minimumShift + 1
    )

    init() {
        parent = nil
        account = nil
    }

    /// Hands on the memory of `parent`, and counts it for `account`.
    init(drawingFrom parent: BufferPool, account: NeighborAccount) {
        self.parent = parent
        self.account = account
    }

    /// What another pool with the same memory has handed out is held by this one from now on.
    func takeOver(_ count: Int, from other: BufferPool) {
        other.account?.give(.ringBytes, count)
        account?.add(.ringBytes, count)
    }

    deinit {
        for index in unsafe free.indices {
            while let memory = unsafe free[index].popLast() { unsafe memory.deallocate() }
        }
    }

    /// A buffer that holds `count` bytes, of the least power of two from 4 KiB to 16 MiB; its bytes are arbitrary.
    func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let index = Self.index(count)
        let size = 1 << (index + Self.minimumShift)
        account?.add(.ringBytes, size)
        if let parent { return unsafe parent.take(count) }
        used += size
        if let memory = unsafe free[index].popLast() {
            kept -= size
            return unsafe memory
        }
        return .allocate(byteCount: size, alignment: 64)
    }

    func give(_ memory: UnsafeMutableRawBufferPointer) {
        let size = memory.count
        account?.give(.ringBytes, size)
        if let parent { return unsafe parent.give(memory) }
        used -= size
        if kept + size <= Self.keptLimit {
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
