/// An offset of a stream in four bytes: every idle connection has some.
///
/// It is never further from another offset that is known whole than windows and rings are large.
struct NearOffset {
    private var low: UInt32 = 0

    init() {}

    /// `start` is what it will be asked from, or less than that.
    init(_ offset: UInt64, from start: UInt64) {
        assert(offset >= start && offset - start <= UInt64(UInt32.max), "\(offset) from \(start)")
        low = UInt32(truncatingIfNeeded: offset)
    }

    /// The whole offset, which is not before `start`.
    func offset(from start: UInt64) -> UInt64 {
        start + UInt64(low &- UInt32(truncatingIfNeeded: start))
    }

    /// How far `end` is behind it.
    func distance(to end: UInt64) -> Int { Int(UInt32(truncatingIfNeeded: end) &- low) }
}
