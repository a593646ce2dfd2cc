import NetworkModel

/// The stream numbers that one ingress instance has used at this egress: the highest, and a bitmap of those below it.
///
/// A number is accepted once; one that is 65,536 or more below the highest is taken for seen.
struct ReplayWindow: Sendable {
    static let size: UInt64 = 65_536

    private var highest: UInt64 = 0
    /// Bit `number % size`; grown on demand, as most instances use few numbers.
    private var bits: [UInt64] = []

    /// True when the number was not seen before; it is from now on.
    mutating func accept(_ number: UInt64) -> Bool {
        if number > highest {
            let first = number - highest >= Self.size ? number - Self.size + 1 : highest + 1
            for passed in first...number { set(passed, false) }
            highest = number
        } else if highest - number >= Self.size || isSet(number) {
            return false
        }
        set(number, true)
        return true
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
/// windows. Bounded by the gateways that are alive: their ingress instances beyond the limit are sidecars that have
/// restarted, and the windows that were used longest ago give way.
struct ReplayGuard: Sendable {
    /// Far beyond 1,000 sites with a few gateways and edges each.
    static let limit = 65_536

    private struct Entry: Sendable {
        var window = ReplayWindow()
        var lastUsed: UInt64
    }

    private var windows: [ProxyID: [ProxyID: Entry]] = [:]
    private let limit: Int
    private(set) var count = 0
    private var uses: UInt64 = 0

    init(limit: Int = ReplayGuard.limit) { self.limit = limit }

    /// False for a replay; `isKnown` says whether a signer's key is still held: without it, nothing of that signer can be
    /// replayed.
    mutating func accept(
        _ number: UInt64,
        of ingress: ProxyID,
        signer: ProxyID,
        isKnown: (ProxyID) -> Bool
    ) -> Bool {
        uses += 1
        if windows[signer]?[ingress] == nil {
            if count >= limit { makeRoom(isKnown) }
            windows[signer, default: [:]][ingress] = Entry(lastUsed: uses)
            count += 1
        }
        windows[signer]?[ingress]?.lastUsed = uses
        return windows[signer]?[ingress]?.window.accept(number) == true
    }

    /// Whoever has the most gives up an eighth, so that no signer can push out another's windows.
    private mutating func makeRoom(_ isKnown: (ProxyID) -> Bool) {
        windows = windows.filter { isKnown($0.key) }
        count = windows.values.reduce(0) { $0 + $1.count }
        guard count >= limit,
            let (signer, entries) = windows.max(by: { $0.value.count < $1.value.count })
        else { return }
        let oldest = entries.sorted { $0.value.lastUsed < $1.value.lastUsed }
            .prefix(max(1, entries.count / 8))
        for (ingress, _) in oldest { windows[signer]?[ingress] = nil }
        count -= oldest.count
    }
}
