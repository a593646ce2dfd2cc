/// Rounds a measured round trip so that a status does not change with every measurement.
enum RoundTripBucket {
    /// Two significant digits of `microseconds`; or `shown`, while the measurement is within a quarter of it.
    static func microseconds(_ microseconds: UInt64, shown: UInt64?) -> UInt64 {
        if let shown, shown > 0, microseconds.distance(from: shown) * 4 <= shown { return shown }
        var unit: UInt64 = 1
        while microseconds / unit >= 100 { unit *= 10 }
        return (microseconds + unit / 2) / unit * unit
    }
}

extension UInt64 {
    fileprivate func distance(from other: UInt64) -> UInt64 {
        self > other ? self - other : other - self
    }
}
