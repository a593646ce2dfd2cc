extension SeededGenerator {
    /// True in so many of a hundred cases.
    package mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &self) < percent
    }
}

/// Bytes that depend on their offsets, so that one in a wrong place is seen.
package enum Pattern {
    private static let period = 1 << 16
    private static let table: [UInt8] = {
        var random = SeededGenerator(seed: 42)
        // Twice: any range of up to one period lies in one piece.
        let once = (0..<period).map { _ in UInt8.random(in: 0...255, using: &random) }
        return once + once
    }()

    package static func byte(_ offset: UInt64) -> UInt8 { table[Int(offset % UInt64(period))] }

    package static func bytes(_ range: Range<UInt64>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        var offset = range.lowerBound
        while offset < range.upperBound {
            let place = Int(offset % UInt64(period))
            let count = min(period, Int(range.upperBound - offset))
            bytes += table[place..<place + count]
            offset += UInt64(count)
        }
        return bytes
    }
}
