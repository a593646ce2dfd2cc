package import NetworkModel

/// The stream numbers that one ingress instance has used at this egress: the highest, and a bitmap of those below it.
///
/// A number is accepted once; one that is 65,536 or more below the highest is taken for seen.
package struct ReplayWindow: Sendable {
    package static let size: UInt64 = 65_536

    private var highest: UInt64 = 0
    /// Bit `number % size`; grown on demand, as most instances use few numbers.
    private var bits: [UInt64] = []

    package init() {}

    /// True when the number was not seen before; it is from now on.
    package mutating func accept(_ number: UInt64) -> Bool {
        if number > highest {
            advance(to: number)
        } else if highest - number >= Self.size || isSet(number) {
            return false
        }
        set(number, true)
        return true
    }

    /// Forgets the numbers that the places up to `number` stood for, 64 at a time.
    private mutating func advance(to number: UInt64) {
        defer { highest = number }
        guard number - highest < Self.size else { return bits.removeAll(keepingCapacity: true) }
        var next = highest + 1
        while next <= number {
            let place = Int(next % Self.size)
            let count = min(UInt64(64 - place % 64), number - next + 1)
            if place / 64 < bits.count {
                let ones = count == 64 ? UInt64.max : (1 << count - 1) << UInt64(place % 64)
                bits[place / 64] &= ~ones
            }
            next += count
        }
    }

    private func isSet(_ number: UInt64) -> Bool {
        let place = Int(number % Self.size)
        return place / 64 < bits.count && bits[place / 64] & (1 << UInt64(place % 64)) != 0
    }

    private mutating func set(_ number: UInt64, _ value: Bool) {
        let place = Int(number % Self.size)
        if place / 64 >= bits.count {
            guard value else { return }
            let grown = max(place / 64 + 1, min(2 * bits.count, Int(Self.size) / 64))
            bits += Array(repeating: 0, count: grown - bits.count)
        }
        let mask = UInt64(1) << UInt64(place % 64)
        if value { bits[place / 64] |= mask } else { bits[place / 64] &= ~mask }
    }
}

/// The replay windows of all ingress instances, by who signs for them.
///
/// The signer is under the MAC, so that a replay names the same one: numbers of one ingress under two signers are two
/// windows. Bounded for each signer, for each site, and as a whole: ingress instances beyond a bound are sidecars that have
/// restarted, and whoever takes up the most loses the windows that were used longest ago.
package struct ReplayGuard: Sendable {
    package struct Limits: Sendable {
        /// Far beyond 1,000 sites with a few gateways and sidecars each; 128 MiB if every window is full.
        package var total: Int
        /// One key can sign for many gateways.
        package var site: Int
        /// 8 MiB.
        package var signer: Int

        package init(total: Int = 16_384, site: Int = 2_048, signer: Int = 1_024) {
            self.total = total
            self.site = site
            self.signer = signer
        }
    }

    private struct Entry: Sendable {
        var window = ReplayWindow()
        var lastUsed: UInt64
    }

    private var windows: [SiteID: [ProxyID: [ProxyID: Entry]]] = [:]
    private var counts: [SiteID: Int] = [:]
    private let limits: Limits
    package private(set) var count = 0
    /// Windows that were forgotten for want of room.
    package private(set) var forgotten: UInt64 = 0
    private var uses: UInt64 = 0

    package init(limits: Limits = Limits()) { self.limits = limits }

    package func count(of site: SiteID) -> Int { counts[site] ?? 0 }

    /// False for a replay; `isKnown` says whether a signer's key is still held: without it, nothing of that signer can be
    /// replayed.
    package mutating func accept(
        _ number: UInt64,
        of ingress: ProxyID,
        signer: ProxyID,
        isKnown: (ProxyID) -> Bool
    ) -> Bool {
        uses += 1
        if windows[signer.site]?[signer]?[ingress] == nil {
            makeRoom(for: signer, isKnown)
            windows[signer.site, default: [:]][signer, default: [:]][ingress] = Entry(
                lastUsed: uses
            )
            note(1, at: signer.site)
        }
        windows[signer.site]?[signer]?[ingress]?.lastUsed = uses
        return windows[signer.site]?[signer]?[ingress]?.window.accept(number) == true
    }

    private mutating func note(_ change: Int, at site: SiteID) {
        count += change
        let left = (counts[site] ?? 0) + change
        counts[site] = left == 0 ? nil : left
    }

    private mutating func makeRoom(for signer: ProxyID, _ isKnown: (ProxyID) -> Bool) {
        if count >= limits.total {
            for gone in windows.values.flatMap(\.keys) where !isKnown(gone) {
                let ingresses = windows[gone.site]?.removeValue(forKey: gone)?.count ?? 0
                note(-ingresses, at: gone.site)
            }
        }
        if count >= limits.total, let site = counts.max(by: { $0.value < $1.value })?.key {
            shrink(site)
        }
        if counts[signer.site] ?? 0 >= limits.site { shrink(signer.site) }
        if windows[signer.site]?[signer]?.count ?? 0 >= limits.signer { shrink(signer) }
    }

    /// Takes from the signer of a site that has the most, so that none can push out another's windows.
    private mutating func shrink(_ site: SiteID) {
        let most = windows[site]?.max { $0.value.count < $1.value.count }
        if let signer = most?.key { shrink(signer) }
    }

    /// Forgets the eighth of a signer's windows that were used longest ago.
    private mutating func shrink(_ signer: ProxyID) {
        let entries = windows[signer.site]?[signer] ?? [:]
        let oldest = entries.sorted { $0.value.lastUsed < $1.value.lastUsed }
            .prefix(max(1, entries.count / 8))
        for (ingress, _) in oldest { windows[signer.site]?[signer]?[ingress] = nil }
        forgotten += UInt64(oldest.count)
        note(-oldest.count, at: signer.site)
    }
}
