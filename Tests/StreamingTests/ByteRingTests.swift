import TestSupport
import Testing
import Wire

@testable import Streaming

@Suite("ByteRing")
struct ByteRingTests {
    @Test("a ring holds what was added and not dropped, whatever the order")
    func model() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let pool = BufferPool()
        for _ in 0..<20 {
            var ring = ByteRing(pool)
            var written: UInt64 = 0
            for _ in 0..<100 {
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    let count = UInt64.random(in: 0..<9_000, using: &random)
                    Pattern.bytes(written..<written + count).withRawSpan { ring.append($0) }
                    written += count
                case 1:
                    let limit = Int.random(in: 1..<9_000, using: &random)
                    let count = ring.fill(atMost: limit) { space in
                        let count = Int.random(in: 1...space.count, using: &random)
                        space.copyBytes(from: Pattern.bytes(written..<written + UInt64(count)))
                        return count
                    }
                    written += UInt64(count)
                default:
                    ring.drop(before: UInt64.random(in: ring.start...ring.end, using: &random))
                }
                #expect(ring.end == written, "seed \(seed)")
                var held = [UInt8](repeating: 0, count: ring.count)
                unsafe held.withUnsafeMutableBytes { unsafe ring.copy(from: ring.start, to: $0) }
                #expect(held == Pattern.bytes(ring.start..<ring.end), "seed \(seed)")
                #expect(ring.isEmpty == (ring.capacity == 0), "an empty ring owns no memory")
            }
        }
        #expect(pool.used == 0)
    }

    @Test("draining gives the bytes in order and drops what was taken")
    func drain() {
        let pool = BufferPool()
        var ring = ByteRing(pool)
        Pattern.bytes(0..<10_000).withRawSpan { ring.append($0) }
        var taken: [UInt8] = []
        while !ring.isEmpty {
            _ = unsafe ring.drain { bytes in
                let count = min(bytes.count, 777)
                unsafe taken += Array(bytes.prefix(count))
                return count
            }
        }
        #expect(taken == Pattern.bytes(0..<10_000))
        #expect(pool.used == 0)
    }

    @Test("what is little takes little, whatever a read might have given")
    func littleRead() {
        let pool = BufferPool()
        var ring = ByteRing(pool)
        var expected: [UInt8] = []
        for count in [1, 300, 100, 200, 4_096] {
            let end = UInt64(expected.count + count)
            let bytes = Pattern.bytes(UInt64(expected.count)..<end)
            let filled = ring.fill(atMost: 4_096) { space in
                space.copyBytes(from: bytes)
                return count
            }
            #expect(filled == count)
            expected += bytes
            #expect(ring.capacity < max(2 * expected.count, 513))
        }
        #expect(ring.copy(from: 0, count: ring.count) == expected)
        ring.drop(before: ring.end)
        #expect(pool.used == 0)
    }

    @Test("a failed read adds nothing and keeps no memory")
    func failedRead() {
        let pool = BufferPool()
        var ring = ByteRing(pool)
        #expect(ring.fill(atMost: 100) { _ in 0 } == 0)
        #expect(ring.capacity == 0)
        #expect(pool.used == 0)
    }
}
