package import NetworkModel

/// The last picks of a service, each with the bids that it saw, in a ring that is written without an allocation.
struct DecisionLog: Sendable {
    private struct Entry: Sendable {
        var number: UInt64 = 0
        var at = Instant(nanoseconds: 0)
        var chosen: UInt16 = 0
        var count: UInt8 = 0
    }

    static let capacity = 100
    /// Of more targets only the first are remembered, by their sites.
    private static let widest = 20
    /// Beyond so many sites that are no targets any more all is forgotten, and begins again.
    private static let mostSites = 1_024

    private var entries: [Entry] = []
    private var seen: [Bid] = []
    /// How many of `seen` belong to an entry.
    private var width = 0
    /// The sites that entries speak of, by their numbers.
    private var sites: [SiteID] = []
    private var numbers: [SiteID: UInt16] = [:]

    /// Gives each site a number, which bids carry from then on.
    mutating func number(_ targets: [SiteID]) -> [UInt16] {
        if sites.count > targets.count + Self.mostSites {
            (entries, seen, width, sites, numbers) = ([], [], 0, [], [:])
        }
        return targets.map { site in
            if let known = numbers[site] { return known }
            let number = UInt16(sites.count)
            sites.append(site)
            numbers[site] = number
            return number
        }
    }

    /// Writes down what a pick saw; what was noted with fewer targets is forgotten.
    mutating func note(_ number: UInt64, _ bids: [Bid], chosen: Int, at now: Instant) {
        let count = min(bids.count, Self.widest)
        if count > width { widen(to: count) }
        let place = Int(number % UInt64(Self.capacity))
        entries[place] = Entry(
            number: number,
            at: now,
            chosen: bids[chosen].site,
            count: UInt8(count)
        )
        let first = place * width
        var places = seen.mutableSpan
        for index in 0..<count { places[first + index] = bids[index] }
    }

    /// The pick that was noted last was not to use this target.
    mutating func withdraw(_ index: Int, from number: UInt64) {
        let place = Int(number % UInt64(Self.capacity))
        if index < Int(entries[place].count) { seen[place * width + index].withdraw() }
    }

    private mutating func widen(to width: Int) {
        self.width = width
        entries = Array(repeating: Entry(), count: Self.capacity)
        seen = Array(repeating: Bid.nothing, count: Self.capacity * width)
    }

    /// The newest first.
    var decisions: [Decision] {
        entries.enumerated().filter { $0.element.number > 0 }
            .sorted { $0.element.number > $1.element.number }
            .map { place, entry in
                let first = place * width
                return Decision(
                    number: entry.number,
                    at: entry.at,
                    site: sites[Int(entry.chosen)],
                    seen: seen[first..<first + Int(entry.count)].filter(\.isOffer).map(made)
                )
            }
    }

    private func made(_ bid: Bid) -> Decision.Seen {
        Decision.Seen(
            site: sites[Int(bid.site)],
            tier: bid.tier,
            isPreferred: bid.isPreferred,
            cost: PathCost(bid.cost),
            open: bid.open,
            perceived: bid.perceived
        )
    }
}

/// One pick, with what it saw.
package struct Decision: Sendable {
    /// Increases with every pick of the service.
    package let number: UInt64
    package let at: Instant
    /// The site that was chosen.
    package let site: SiteID
    /// The targets that it chose from, by their sites, at most 20; those that it was not to use again are left out.
    package let seen: [Seen]

    package struct Seen: Sendable {
        package let site: SiteID
        package let tier: Int
        /// False for those that drain or have failed: taken only while there is nothing else.
        package let isPreferred: Bool
        package let cost: PathCost
        /// Connections that counted.
        package let open: UInt64
        package let perceived: PerceivedCost
    }
}
