/// Frames in their wire form, one after the other in one piece of memory.
@safe
package struct FrameBuffer: ~Copyable {
    @usableFromInline var memory: UnsafeMutableRawBufferPointer
    /// The first byte that was not yet taken by `removeFirst`.
    @usableFromInline var start = 0
    @usableFromInline var end = 0
    /// Where small payloads are put together; keeps its memory.
    private var scratch = FrameWriter(reserving: 64)

    package init(minimumCapacity: Int = 0) {
        unsafe memory = .allocate(byteCount: minimumCapacity, alignment: 8)
    }

    deinit { unsafe memory.deallocate() }

    /// Bytes in the buffer, headers included.
    package var count: Int { end - start }
    package var isEmpty: Bool { start == end }
    package var capacity: Int { unsafe memory.count }

    /// Appends one frame with a payload that lies in one piece.
    package mutating func append(type: UInt8, label: UInt32, payload: RawSpan) {
        let count = payload.byteCount
        let target = reserve(type: type, label: label, count: count)
        unsafe payload.withUnsafeBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[target..<target + count])
                .copyMemory(from: bytes)
        }
    }

    package mutating func append(type: UInt8, label: UInt32, payload: [UInt8]) {
        unsafe append(type: type, label: label, payload: payload.span.bytes)
    }

    /// Appends one frame of which `write` gives the payload: exactly `count` zeroed-by-nobody bytes, all to be written.
    package mutating func append(
        type: UInt8,
        label: UInt32,
        count: Int,
        write: (inout MutableRawSpan) -> Void
    ) {
        let target = reserve(type: type, label: label, count: count)
        let payload = unsafe UnsafeMutableRawBufferPointer(
            rebasing: memory[target..<target + count]
        )
        var span = unsafe payload.mutableBytes
        write(&span)
    }

    package mutating func append(
        type: FrameType,
        label: UInt32,
        count: Int,
        write: (inout MutableRawSpan) -> Void
    ) {
        append(type: type.rawValue, label: label, count: count, write: write)
    }

    package mutating func append(
        type: FrameType,
        label: UInt32,
        _ body: (inout FrameWriter) -> Void
    ) {
        scratch.removeAll()
        body(&scratch)
        append(type: type.rawValue, label: label, payload: scratch.bytes)
    }

    package mutating func removeAll() {
        start = 0
        end = 0
    }

    /// Moves whole frames from the front to the end of `other`: at least one, and then as many as `limit` bytes hold.
    package mutating func moveFrames(to other: inout FrameBuffer, limit: Int) {
        var stop = start
        while stop < end {
            let next = unsafe stop + FrameHeader.size + FrameBuffer.length(memory, at: stop)
            guard stop == start || next - start <= limit else { break }
            stop = next
        }
        guard stop > start else { return }
        let target = other.grow(stop - start)
        unsafe UnsafeMutableRawBufferPointer(rebasing: other.memory[target..<other.end])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<stop]))
        start = stop
        if start == end { removeAll() }
    }

    private static func length(_ memory: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let word = unsafe memory.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        return FrameHeader(word: UInt64(bigEndian: word)).length
    }

    /// Lends the bytes of all frames.
    @inlinable
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(UnsafeRawBufferPointer(rebasing: memory[start..<end]))
    }

    /// Makes room and writes the header; gives the offset of the payload.
    private mutating func reserve(type: UInt8, label: UInt32, count: Int) -> Int {
        precondition(count <= FrameHeader.maximumPayload, "a frame of \(count) bytes")
        let offset = grow(FrameHeader.size + count)
        let header = FrameHeader(length: count, type: type, label: label)
        unsafe memory.storeBytes(of: header.word.bigEndian, toByteOffset: offset, as: UInt64.self)
        return offset + FrameHeader.size
    }

    /// Makes the buffer longer by `count` bytes and gives the offset of the first.
    private mutating func grow(_ count: Int) -> Int {
        makeRoom(count)
        defer { end += count }
        return end
    }

    private mutating func makeRoom(_ count: Int) {
        guard end + count > capacity else { return }
        let used = self.count
        // Half empty: moving costs less than growing, and a queue that never runs dry does not grow for ever.
        if used + count <= capacity / 2 {
            unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<end]))
            (start, end) = (0, used)
            return
        }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(used + count, 2 * capacity, 512),
            alignment: 8
        )
        unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<end]))
        unsafe memory.deallocate()
        unsafe memory = larger
        start = 0
        end = used
    }
}
