package import NetworkModel

/// How many claims of tokens are looked at: an address has a share, and all addresses together have one.
///
/// Nobody guesses a secret of 256 bits; what is bounded is the work that somebody makes who tries. A claim that is not looked at costs its
/// site the time until it dials again. Pure.
package struct ClaimShares: Sendable {
    /// So many at once; each is paid back by `interval`.
    private struct Share {
        let burst: Int
        let interval: Duration

        /// The debt with one more; nil when it would be more than the share.
        func after(_ debt: Instant?, at now: Instant) -> Instant? {
            let begin = max(debt ?? now, now)
            guard begin - now <= interval * (burst - 1) else { return nil }
            return begin + interval
        }
    }

    private static let ofAddress = Share(burst: 16, interval: .milliseconds(500))
    private static let ofAll = Share(burst: 128, interval: .milliseconds(20))
    static let addressLimit = 256

    /// When what was taken will be paid back.
    private var debts: [IPAddress: Instant] = [:]
    private var debtOfAll = Instant(nanoseconds: 0)

    package init() {}

    var addressCount: Int { debts.count }

    /// Whether a claim from this address is looked at.
    package mutating func take(from address: IPAddress, at now: Instant) -> Bool {
        let place = address.network
        guard let own = Self.ofAddress.after(debts[place], at: now),
            let all = Self.ofAll.after(debtOfAll, at: now)
        else { return false }
        makeRoom(for: place, at: now)
        debts[place] = own
        debtOfAll = all
        return true
    }

    /// One that owes nothing makes room, else the one that owes least: all together are bounded anyway.
    private mutating func makeRoom(for place: IPAddress, at now: Instant) {
        guard debts[place] == nil, debts.count >= Self.addressLimit else { return }
        debts = debts.filter { $0.value > now }
        guard debts.count >= Self.addressLimit else { return }
        if let least = debts.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
            debts[least.key] = nil
        }
    }
}

extension IPAddress {
    /// Whoever has one address of IPv6 has its 64 bits of them.
    fileprivate var network: IPAddress {
        switch self {
        case .v4: self
        case .v6(let upper, _): .v6(upper, 0)
        }
    }
}
