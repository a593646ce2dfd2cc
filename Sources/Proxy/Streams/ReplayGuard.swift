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
struct ReplayGuard: Sendable {
    /// Far beyond 1,000 sites with a few gateways and edges each.
    static let limit = 65_536

    private var windows: [ProxyID: (signer: ProxyID, window: ReplayWindow)] = [:]

    enum Verdict: Sendable {
        case accepted
        case replay
        /// Too many instances are known.
        case full
    }

    /// `isKnown` says whether a signer's key is still held: without it, nothing of that signer can be replayed.
    mutating func accept(
        _ number: UInt64,
        of ingress: ProxyID,
        signer: ProxyID,
        isKnown: (ProxyID) -> Bool
    ) -> Verdict {
        if windows[ingress] == nil {
            if windows.count >= Self.limit { windows = windows.filter { isKnown($0.value.signer) } }
            guard windows.count < Self.limit else { return .full }
            windows[ingress] = (signer, ReplayWindow())
        }
        windows[ingress]?.signer = signer
        return windows[ingress]?.window.accept(number) == true ? .accepted : .replay
    }
}
