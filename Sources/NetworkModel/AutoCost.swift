/// The cost of a Link by its round-trip time: one for each millisecond, in steps, between bounds.
///
/// What counts is the shortest time of a while: a queue that this Link's own load fills must not drive the load away and,
/// once it is empty, back. A step is left when two whiles in a row lie above it by half of it, or below two fifths
/// of it, and at most once in 20 s; what goes to and fro within that moves nothing. Until the first while has ended the Link costs what is
/// configured. Pure.
package struct AutoCost: Equatable, Sendable {
    /// What the Link may cost.
    package struct Bounds: Hashable, Sendable {
        package var least: LinkCost
        package var most: LinkCost

        /// Nil unless `least` is at most `most`.
        package init?(least: LinkCost, most: LinkCost) {
            guard least <= most else { return nil }
            self.least = least
            self.most = most
        }
    }

    package var bounds: Bounds
    /// In microseconds; nil until something was measured.
    private var step: UInt64?
    /// The shortest time of the while that has begun.
    private var shortest: UInt64?
    private var until: Instant?
    /// What the last while had, when it lay beyond the step.
    private var beyond: UInt64?

    package static let firstWhile: Duration = .seconds(2)
    package static let eachWhile: Duration = .seconds(10)

    package init(_ bounds: Bounds) { self.bounds = bounds }

    /// Nil until the first while has ended.
    package var cost: LinkCost? {
        guard let step, let wanted = LinkCost(Int32(clamping: (step + 999) / 1_000)) else {
            return nil
        }
        return min(max(wanted, bounds.least), bounds.most)
    }

    /// Takes a measurement, in microseconds.
    package mutating func take(_ roundTrip: UInt64, at now: Instant) {
        let time = min(max(roundTrip, 1), UInt64(LinkCost.range.upperBound) * 1_000)
        guard let end = until else {
            (shortest, until) = (time, now + Self.firstWhile)
            return
        }
        shortest = min(shortest ?? time, time)
        guard now >= end, let shortest else { return }
        judge(shortest)
        self.shortest = nil
        until = now + Self.eachWhile
    }

    /// The Link is down: what is measured next begins a while of its own.
    package mutating func pause() {
        (shortest, beyond, until) = (nil, nil, nil)
    }

    private mutating func judge(_ time: UInt64) {
        guard let step else {
            self.step = Self.step(of: time)
            return
        }
        let isAbove = time > step + step / 2
        guard isAbove || time < step / 5 * 2 else {
            beyond = nil
            return
        }
        guard let before = beyond, (before > step) == isAbove else {
            beyond = time
            return
        }
        beyond = nil
        // The nearer one of the two.
        self.step = Self.step(of: isAbove ? min(time, before) : max(time, before))
    }

    /// Each step is half as much again as the one before, from a millisecond.
    private static func step(of time: UInt64) -> UInt64 {
        var step: UInt64 = 1_000
        while step < time { step += step / 2 }
        return step
    }
}
