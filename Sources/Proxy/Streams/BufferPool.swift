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
    private var kept = 0
    private var free: [[UnsafeMutableRawBufferPointer]] = unsafe Array(
        repeating: [],
        count: maximumShift - minimumShift + 1
    )

    deinit {
        for index in unsafe free.indices {
            while let memory = unsafe free[index].popLast() { unsafe memory.deallocate() }
        }
    }

    /// A buffer that holds `count` bytes, of the least power of two from 4 KiB to 16 MiB; its bytes are arbitrary.
    func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let index = Self.index(count)
        let size = 1 << (index + Self.minimumShift)
        used += size
        if let memory = unsafe free[index].popLast() {
            kept -= size
            return unsafe memory
        }
        return .allocate(byteCount: size, alignment: 64)
    }

    func give(_ memory: UnsafeMutableRawBufferPointer) {
        let size = memory.count
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
