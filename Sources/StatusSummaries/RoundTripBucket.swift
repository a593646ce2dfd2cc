package import NetworkAPI

/// Rounds a measured round trip so that a status does not change with every measurement.
package enum RoundTripBucket {
    /// Two significant digits of `microseconds`; or `shown`, while the measurement is within a quarter of it.
    package static func microseconds(_ microseconds: UInt64, shown: UInt64?) -> UInt64 {
        if let shown, shown > 0, microseconds.distance(from: shown) * 4 <= shown { return shown }
        var unit: UInt64 = 1
        while microseconds / unit >= 100 { unit *= 10 }
        return (microseconds + unit / 2) / unit * unit
    }

    /// In milliseconds, as people read it: `1.4ms`, `0.09ms`, `85ms`.
    package static func duration(_ microseconds: UInt64) -> APIDuration? {
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1000)
        guard rest > 0 else { return APIDuration("\(whole)ms") }
        let digits = String(rest)
        var fraction = String(repeating: "0", count: 3 - digits.count) + digits
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return APIDuration("\(whole).\(fraction)ms")
    }
}

extension UInt64 {
    fileprivate func distance(from other: UInt64) -> UInt64 {
        self > other ? self - other : other - self
    }
}
