import Wire

/// Frames in their wire form, one after the other in one piece of memory.
@safe
package struct FrameBuffer: ~Copyable {
    private var memory: UnsafeMutableRawBufferPointer
    /// The first byte that was not yet taken by `removeFirst`.
    private var start = 0
    private var end = 0

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

    /// Makes room and writes the header; gives the offset of the payload.
    private mutating func reserve(type: UInt8, label: UInt32, count: Int) -> Int {
        precondition(count <= FrameHeader.maximumPayload, "a frame of \(count) bytes")
        makeRoom(FrameHeader.size + count)
        let header = UInt64(count) << 40 | UInt64(type) << 32 | UInt64(label)
        unsafe memory.storeBytes(of: header.bigEndian, toByteOffset: end, as: UInt64.self)
        let target = end + FrameHeader.size
        end = target + count
        return target
    }

    private mutating func makeRoom(_ count: Int) {
        guard end + count > capacity else { return }
        let used = self.count
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
