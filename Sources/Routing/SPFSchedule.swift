import NetworkModel

/// When shortest paths are computed: at once after quiet, then at a distance that grows with the network and under load.
///
/// The distance doubles with every run that had to wait for it, from 10 ms to a second, and is short again after as much
/// quiet. What this gateway itself sees (a neighbor lost, a cost changed) never waits.
struct SPFSchedule: Sendable {
    private var isRequested = false
    private var isUrgent = false
    private var lastRun: Instant?
    private var distance: Duration = .zero
    private var growth = Self.shortest

    static let shortest: Duration = .milliseconds(10)
    static let longest: Duration = .seconds(1)

    mutating func request(isUrgent: Bool = false) {
        isRequested = true
        self.isUrgent = self.isUrgent || isUrgent
    }

    var dueAt: Instant? {
        guard isRequested else { return nil }
        guard !isUrgent, let lastRun else { return Instant(nanoseconds: 0) }
        return lastRun + distance
    }

    /// True when it is time to run over a database of `size` origins; the request is then done.
    mutating func start(at now: Instant, size: Int) -> Bool {
        guard let dueAt, now >= dueAt else { return false }
        let isCrowded = lastRun.map { now - $0 < growth * 2 } ?? false
        growth = isCrowded ? min(growth * 2, Self.longest) : Self.shortest
        isRequested = false
        isUrgent = false
        lastRun = now
        distance = max(.milliseconds(5) + .microseconds(100) * size, growth)
        return true
    }
}
