import NetworkModel

/// A target or server that did not take a connection: left alone for a while, then tried by one probe at a time.
struct Ejection<Reason: Sendable>: Sendable {
    var reason: Reason
    /// Failed in a row.
    private(set) var failures: Int
    /// When the last failure, or the doubt, began.
    private(set) var since: Instant
    private(set) var until: Instant
    /// The number of the pick that probes now.
    private(set) var probe: UInt64?
    private var probeStarted = Instant(nanoseconds: 0)

    /// `failures` counts those before that this one belongs to.
    init(reason: Reason, after failures: Int = 0, at now: Instant) {
        self.reason = reason
        self.failures = failures + 1
        since = now
        until = now + EjectionTimes.wait(after: self.failures)
    }

    /// Nothing has failed, but nothing has answered either: the first probe is due at once.
    init(untried reason: Reason, at now: Instant) {
        self.reason = reason
        failures = 0
        since = now
        until = now
    }

    /// True when the next connection may try again.
    func isDue(at now: Instant) -> Bool { now >= until && !isProbed(at: now) }

    /// True while a probe is under way.
    func isProbed(at now: Instant) -> Bool {
        probe != nil && now < probeStarted + EjectionTimes.probeLimit
    }

    mutating func startProbe(_ number: UInt64, at now: Instant) {
        probe = number
        probeStarted = now
    }

    /// The pick of this number was given up without a verdict.
    mutating func abandonProbe(_ number: UInt64) {
        if probe == number { probe = nil }
    }

    /// Another failure; only a probe's makes the wait longer, since picks made before the ejection say nothing new.
    mutating func fail(_ number: UInt64, at now: Instant) {
        guard probe == number || now >= until else { return }
        probe = nil
        failures += 1
        since = now
        until = now + EjectionTimes.wait(after: failures)
    }
}

enum EjectionTimes {
    static let shortest: Duration = .milliseconds(500)
    static let longest: Duration = .seconds(10)
    /// A probe that was neither answered nor given up does not block the next one for longer.
    static let probeLimit: Duration = .seconds(30)

    static func wait(after failures: Int) -> Duration {
        min(shortest * (1 << min(failures - 1, 10)), longest)
    }
}
