/// The waits between attempts to dial: doubling, with jitter, between 100 ms and 10 s; never giving up.
struct BackOff {
    static let shortest: Duration = .milliseconds(100)
    static let longest: Duration = .seconds(10)

    private var failures = 0

    /// The wait after one more failure: between half and all of the doubled one.
    mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let full = min(Self.shortest * (1 << min(failures, 10)), Self.longest)
        failures += 1
        let nanoseconds =
            full.components.seconds * 1_000_000_000
            + full.components.attoseconds / 1_000_000_000
        return .nanoseconds(Int64.random(in: nanoseconds / 2...nanoseconds, using: &random))
    }

    mutating func reset() { failures = 0 }
}
