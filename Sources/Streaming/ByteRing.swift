/// Consecutive bytes of one direction of a stream, addressed by their offsets.
///
/// Bytes are added at `end` and dropped at `start`. The memory comes from a pool, grows by doubling and goes back when
/// the ring is empty.
@safe
package struct ByteRing: ~Copyable {
    // Idle streams are many, so every byte counts.
    /// The offset of the first byte that is held.
    package private(set) var start: UInt64 = 0
    private var base: UnsafeMutableRawPointer?
    package private(set) var pool: BufferPool
    private var length: UInt32 = 0
    /// The size of the memory is two to the power of this.
    private var shift: UInt8 = 0

    /// Draws the memory from another pool of the same loop.
    package mutating func draw(on other: BufferPool) {
        guard other !== pool else { return }
        other.takeOver(capacity, from: pool)
        pool = other
    }

    package init(_ pool: BufferPool) {
        self.pool = pool
        unsafe base = nil
    }

    deinit {
        if let memory = unsafe memory { unsafe pool.give(memory) }
    }

    private var memory: UnsafeMutableRawBufferPointer? {
        get { unsafe base.map { unsafe .init(start: $0, count: 1 << Int(shift)) } }
        set {
            unsafe base = newValue?.baseAddress
            shift = UInt8(unsafe newValue?.count.trailingZeroBitCount ?? 0)
        }
    }

    /// The offset behind the last byte.
    package var end: UInt64 { start + UInt64(length) }
    package var count: Int { Int(length) }
    package var isEmpty: Bool { length == 0 }
    /// Bytes of memory that are held.
    package var capacity: Int { unsafe base == nil ? 0 : 1 << Int(shift) }

    /// Adds bytes.
    package mutating func append(_ bytes: RawSpan) {
        let total = bytes.byteCount
        reserve(total)
        unsafe bytes.withUnsafeBytes { source in
            var taken = 0
            while taken < total {
                let region = unsafe freeRegion(atMost: total - taken)
                unsafe region.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[taken..<taken + region.count])
                )
                taken += region.count
                length += UInt32(region.count)
            }
        }
    }

    /// Adds as many bytes as `read` says it has put into the space that it is lent, of at most `limit`; gives their number.
    package mutating func fill(atMost limit: Int, _ read: (RingSpace) -> Int) -> Int {
        if limit <= BufferPool.scratchSize, limit > capacity - count {
            return fillByCopy(atMost: limit, read)
        }
        reserve(limit)
        let first = unsafe region(at: end, atMost: limit)
        let second = unsafe region(at: end + UInt64(first.count), atMost: limit - first.count)
        let count = unsafe read(RingSpace(first: first, second: second))
        length += UInt32(count)
        releaseIfEmpty()
        return count
    }

    /// What is read at once is little mostly: memory is taken for what came only.
    private mutating func fillByCopy(atMost limit: Int, _ read: (RingSpace) -> Int) -> Int {
        let pool = pool
        let count = unsafe read(RingSpace(first: .init(rebasing: pool.scratch[..<limit])))
        unsafe append(UnsafeRawBufferPointer(rebasing: pool.scratch[..<count]).bytes)
        return count
    }

    /// Copies the bytes from `offset` on into `target`, which they have to fill.
    package func copy(from offset: UInt64, to target: UnsafeMutableRawBufferPointer) {
        precondition(
            offset >= start && offset + UInt64(target.count) <= end,
            "bytes \(offset) + \(target.count) of \(start)..<\(end)"
        )
        var copied = 0
        while copied < target.count {
            let region = unsafe region(at: offset + UInt64(copied), atMost: target.count - copied)
            unsafe UnsafeMutableRawBufferPointer(
                rebasing: target[copied..<copied + region.count]
            ).copyMemory(from: UnsafeRawBufferPointer(region))
            copied += region.count
        }
    }

    /// A copy of the `count` bytes from `offset` on.
    package func copy(from offset: UInt64, count: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            let region = UnsafeMutableRawBufferPointer(target)
            unsafe copy(from: offset, to: UnsafeMutableRawBufferPointer(rebasing: region[..<count]))
            filled = count
        }
    }

    /// Lends the first bytes that lie in one piece, and drops as many as `body` says it took; gives their number.
    package mutating func drain(_ body: (UnsafeRawBufferPointer) -> Int) -> Int {
        let taken = unsafe body(UnsafeRawBufferPointer(region(at: start, atMost: count)))
        drop(before: start + UInt64(taken))
        return taken
    }

    /// Forgets the bytes before `offset`.
    package mutating func drop(before offset: UInt64) {
        precondition(offset >= start && offset <= end, "drop \(offset) of \(start)..<\(end)")
        length -= UInt32(offset - start)
        start = offset
        releaseIfEmpty()
    }

    /// Forgets the bytes before `offset`, and those from there on as if they had never come.
    package mutating func cut(at offset: UInt64) {
        drop(before: offset)
        length = 0
        releaseIfEmpty()
    }

    /// Counts bytes that passed by without being held; only while the ring is empty.
    package mutating func skip(_ count: Int) {
        precondition(isEmpty, "skip within \(start)..<\(end)")
        start += UInt64(count)
    }

    private mutating func releaseIfEmpty() {
        guard isEmpty, let held = unsafe memory else { return }
        unsafe pool.give(held)
        unsafe memory = nil
    }

    /// Makes room for `more` bytes behind `end`.
    private mutating func reserve(_ more: Int) {
        let needed = count + more
        guard needed > capacity else { return }
        let larger = unsafe pool.take(needed)
        if let memory = unsafe memory {
            // Every byte keeps its place modulo the size, old and new.
            var offset = start
            while offset < end {
                let piece = unsafe region(at: offset, atMost: Int(end - offset))
                var copied = 0
                while copied < piece.count {
                    let place = Int((offset + UInt64(copied)) & UInt64(larger.count - 1))
                    let length = min(piece.count - copied, larger.count - place)
                    unsafe UnsafeMutableRawBufferPointer(rebasing: larger[place..<place + length])
                        .copyMemory(
                            from: UnsafeRawBufferPointer(rebasing: piece[copied..<copied + length])
                        )
                    copied += length
                }
                offset += UInt64(piece.count)
            }
            unsafe pool.give(memory)
        }
        unsafe memory = larger
    }

    private func freeRegion(atMost limit: Int) -> UnsafeMutableRawBufferPointer {
        unsafe region(at: end, atMost: min(limit, capacity - count))
    }

    /// The memory of the bytes from `offset` on as far as it lies in one piece.
    private func region(at offset: UInt64, atMost limit: Int) -> UnsafeMutableRawBufferPointer {
        guard let memory = unsafe memory else { return unsafe .init(start: nil, count: 0) }
        let place = Int(offset & UInt64(memory.count - 1))
        let length = min(limit, memory.count - place)
        return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[place..<place + length])
    }
}
