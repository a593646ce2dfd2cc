/// What the loops say of the listeners of one kind.
///
/// A port is open when every loop listens on it: a loop that could not is not made up for by one that could.
struct ListenerReports<Place: Hashable & Sendable>: Sendable {
    private var openLoops: [Place: Set<Int>] = [:]
    /// By loop; only places at which a loop does not listen.
    private var failures: [Place: [Int: String]] = [:]

    /// Forgets what is not wanted any more.
    mutating func keep(_ wanted: [Place]) {
        let wanted = Set(wanted)
        openLoops = openLoops.filter { wanted.contains($0.key) }
        failures = failures.filter { wanted.contains($0.key) }
    }

    /// Takes what one loop says; returns its failure if no loop has said the same, to be logged once.
    mutating func take(_ place: Place, loop: Int, _ failure: String?) -> String? {
        var known = failures.removeValue(forKey: place) ?? [:]
        let isNews = !known.values.contains { $0 == failure }
        known[loop] = failure
        if !known.isEmpty { failures[place] = known }
        if failure == nil { openLoops[place, default: []].insert(loop) }
        return isNews ? failure : nil
    }

    /// How many loops listen there.
    func openCount(_ place: Place) -> Int { openLoops[place]?.count ?? 0 }

    /// Why a loop does not listen at a place that `isMeant`; nil when all do.
    func failure(where isMeant: (Place) -> Bool) -> String? {
        failures.first { isMeant($0.key) }?.value.values.min()
    }
}
