import Testing

@testable import Wire

@Suite("Frame buffer")
struct FrameBufferTests {
    @Test("frames move whole, in order, at least one and then within the limit")
    func moving() {
        var queue = FrameBuffer()
        for label in 0..<10 {
            queue.append(type: 9, label: UInt32(label), payload: [UInt8](repeating: 1, count: 92))
        }
        #expect(queueCount(queue) == 1000)
        var batch = FrameBuffer()
        queue.moveFrames(to: &batch, limit: 50)
        #expect(queueCount(batch) == 100)
        queue.moveFrames(to: &batch, limit: 399)
        #expect(queueCount(batch) == 400)
        queue.moveFrames(to: &batch, limit: 1 << 20)
        #expect(queueCount(batch) == 1000 && queueCount(queue) == 0)
        var labels: [UInt32] = []
        unsafe batch.withBytes { bytes in
            for offset in stride(from: 0, to: bytes.count, by: 100) {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                labels.append(UInt32(bigEndian: word))
            }
        }
        #expect(labels == Array(0..<10))
    }

    @Test("a queue that is never empty does not grow beyond what it holds")
    func bounded() {
        var queue = FrameBuffer()
        var batch = FrameBuffer()
        let payload = [UInt8](repeating: 1, count: 1000)
        for _ in 0..<5 { queue.append(type: 9, label: 0, payload: payload) }
        for _ in 0..<10_000 {
            queue.append(type: 9, label: 0, payload: payload)
            batch.removeAll()
            queue.moveFrames(to: &batch, limit: 1)
        }
        let capacity = queue.capacity
        #expect(capacity <= 32 * 1024)
        #expect(queueCount(queue) == 5 * 1008)
    }

    @Test("a payload that is written in place has its header before it")
    func inPlace() {
        var buffer = FrameBuffer()
        buffer.append(type: 7, label: 0x0102_0304, count: 3) { span in
            for index in 0..<3 {
                span.storeBytes(of: UInt8(index), toByteOffset: index, as: UInt8.self)
            }
        }
        let bytes = unsafe buffer.withBytes { unsafe Array($0) }
        #expect(bytes == [0, 0, 3, 7, 1, 2, 3, 4, 0, 1, 2])
    }

    private func queueCount(_ buffer: borrowing FrameBuffer) -> Int { buffer.count }
}
