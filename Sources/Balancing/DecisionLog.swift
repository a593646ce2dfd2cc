package import NetworkModel

/// The last picks of a service, each with what it saw, in a ring that is written without an allocation.
struct DecisionLog: Sendable {
    /// What a pick saw of one target; one that takes no connection is not seen.
    private struct Seen: Sendable {
        var site: UInt16 = 0
        var thousandths: UInt16 = 0
        var tier: UInt8 = 0
        var rank: UInt8 = 0
        var cost: UInt32 = 0
        var weight: UInt32 = 0
        var open: UInt32 = 0
    }

    private struct Entry: Sendable {
        var number: UInt64 = 0
        var at = Instant(nanoseconds: 0)
        var chosen: UInt16 = 0
        var count: UInt8 = 0
    }

    static let capacity = 100
    /// Of more targets only the first are remembered, by their sites.
    private static let widest = 20

    /// Beyond so many sites all is forgotten, and begins again.
    private static let mostSites = 1_024

    private var entries: [Entry] = []
    private var seen: [Seen] = []
    /// How many of `seen` belong to an entry.
    private var width = 0
    /// The sites that entries speak of, by their numbers.
    private var sites: [SiteID] = []

    /// A pick is about to be noted that sees this many targets; what was noted with fewer is forgotten.
    mutating func begin(_ number: UInt64, of count: Int, at now: Instant) {
        let needed = min(count, Self.widest)
        if needed > width || sites.count > Self.mostSites { reset(to: max(needed, width)) }
        let place = Self.place(of: number)
        entries[place] = Entry(number: number, at: now)
    }

    private mutating func reset(to width: Int) {
        self.width = width
        entries = Array(repeating: Entry(), count: Self.capacity)
        seen = Array(repeating: Seen(), count: Self.capacity * width)
        sites = []
    }

    private static func place(of number: UInt64) -> Int { Int(number % UInt64(capacity)) }

    mutating func note(
        _ slot: TargetSlot,
        isChosen: Bool,
        in number: UInt64,
        at now: Instant
    ) {
        let place = Self.place(of: number)
        let index = Int(entries[place].count)
        guard isChosen || index < width else { return }
        let site = self.number(of: slot.target.site, near: index)
        if isChosen { entries[place].chosen = site }
        guard index < width, let offer = slot.terms.offer else { return }
        entries[place].count += 1
        seen[place * width + index] = Seen(
            site: site,
            thousandths: UInt16(slot.thousandths(at: now)),
            tier: UInt8(clamping: slot.terms.tier),
            rank: slot.rank(at: now),
            cost: offer.cost.value,
            weight: offer.weight,
            open: UInt32(clamping: slot.own + slot.others)
        )
    }

    /// Most picks see the same targets in the same order: `hint` saves the search.
    private mutating func number(of site: SiteID, near hint: Int) -> UInt16 {
        if hint < sites.count, sites[hint] == site { return UInt16(hint) }
        if let known = sites.firstIndex(of: site) { return UInt16(known) }
        sites.append(site)
        return UInt16(sites.count - 1)
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
                    seen: seen[first..<first + Int(entry.count)].map(made)
                )
            }
    }

    private func made(_ seen: Seen) -> Decision.Seen {
        Decision.Seen(
            site: sites[Int(seen.site)],
            tier: Int(seen.tier),
            isPreferred: seen.rank == 0,
            cost: PathCost(seen.cost),
            open: UInt64(seen.open),
            perceived: PerceivedCost(
                cost: PathCost(seen.cost),
                open: UInt64(seen.open),
                weight: seen.weight,
                thousandths: UInt32(seen.thousandths)
            )
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
        /// Connections of the whole site that were open to it.
        package let open: UInt64
        package let perceived: PerceivedCost
    }
}
