/// TLS records on their way to a socket: a queue of bytes in one piece of memory.
///
/// Whoever calls a session bounds it: a session appends at most what one call produces.
@safe
package final class Ciphertext {
    private var memory: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0

    package init(minimumCapacity: Int = 0) {
        unsafe memory = .allocate(byteCount: minimumCapacity, alignment: 16)
    }

    deinit { unsafe memory.deallocate() }

    package var count: Int { end - start }
    package var isEmpty: Bool { start == end }

    /// Lends what waits.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(UnsafeRawBufferPointer(rebasing: memory[start..<end]))
    }

    package func removeFirst(_ count: Int) {
        precondition((0...self.count).contains(count))
        start += count
        if start == end { removeAll() }
    }

    package func removeAll() {
        start = 0
        end = 0
    }

    package func append(_ bytes: UnsafeRawBufferPointer) {
        makeRoom(bytes.count)
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[end..<end + bytes.count])
            .copyMemory(from: bytes)
        end += bytes.count
    }

    /// Appends `count` bytes that `write` puts there; nothing when it says that it failed.
    package func append(_ count: Int, _ write: (UnsafeMutableRawBufferPointer) -> Bool) -> Bool {
        makeRoom(count)
        guard
            unsafe write(UnsafeMutableRawBufferPointer(rebasing: memory[end..<end + count]))
        else { return false }
        end += count
        return true
    }

    private func makeRoom(_ count: Int) {
        let capacity = unsafe memory.count
        guard end + count > capacity else { return }
        let used = self.count
        // Half empty: moving costs less than growing, and a queue that never runs dry does not grow for ever.
        if used + count <= capacity / 2 {
            unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<end]))
            (start, end) = (0, used)
            return
        }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(used + count, 2 * capacity, 4096),
            alignment: 16
        )
        unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<end]))
        unsafe memory.deallocate()
        unsafe memory = unsafe larger
        start = 0
        end = used
    }
}
