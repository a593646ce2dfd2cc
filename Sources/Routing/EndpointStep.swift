/// Endpoint counts are flooded in steps, so that a large workload that grows by one changes nothing anywhere.
package enum EndpointStep {
    /// Rounds down to 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
    package static func down(_ count: UInt32) -> UInt32 {
        guard count > 4 else { return count }
        let power = UInt32(1) << (31 - UInt32(count.leadingZeroBitCount))
        let middle = power + power / 2
        return count >= middle ? middle : power
    }
}
