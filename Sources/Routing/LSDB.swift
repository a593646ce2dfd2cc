import NetworkModel

/// The link state database: the newest verified LSA of every fragment of every origin.
///
/// Bounded: what does not fit is refused, and counted.
struct LSDB: Sendable {
    enum Insertion: Equatable {
        case accepted
        /// The same one, or an older one than is held.
        case known
        /// A bound of `RoutingLimits` is reached, or the fragment is one that its origin has given up.
        case refused
    }

    private(set) var fragments: [ProxyID: [UInt16: SignedLSA]] = [:]
    private(set) var refusals: UInt64 = 0
    /// Since when SPF has not reached an origin.
    private var unreachableSince: [ProxyID: Instant] = [:]

    subscript(key: LSAKey) -> SignedLSA? { fragments[key.origin]?[key.fragment] }

    func sequence(_ key: LSAKey) -> UInt64? { self[key]?.lsa.sequence }

    func isNews(_ header: LSAHeader) -> Bool {
        header.sequence > sequence(header.key) ?? 0 && !isGivenUp(header)
    }

    /// True for a fragment that its origin's newer fragment 0 does not count any more.
    private func isGivenUp(_ header: LSAHeader) -> Bool {
        guard let first = fragments[header.key.origin]?[0]?.lsa else { return false }
        return header.key.fragment >= first.fragmentCount && header.sequence < first.sequence
    }

    mutating func insert(_ signed: SignedLSA) -> Insertion {
        let lsa = signed.lsa
        guard lsa.sequence > sequence(lsa.key) ?? 0 else { return .known }
        guard !isGivenUp(lsa.header) else { return .refused }
        let isNewOrigin = fragments[lsa.origin] == nil
        guard Int(lsa.fragment) < RoutingLimits.fragmentsPerOrigin,
            !isNewOrigin || fragments.count < RoutingLimits.origins
        else {
            refusals += 1
            return .refused
        }
        fragments[lsa.origin, default: [:]][lsa.fragment] = signed
        if lsa.fragment == 0 {
            fragments[lsa.origin] = fragments[lsa.origin]?
                .filter { $0.key < lsa.fragmentCount || $0.value.lsa.sequence > lsa.sequence }
        }
        return .accepted
    }

    mutating func remove(_ origin: ProxyID) {
        fragments[origin] = nil
        unreachableSince[origin] = nil
    }

    /// The fragments that count, fragment 0 first; empty until fragment 0 is there.
    func advertisements(of origin: ProxyID) -> [LSA] {
        guard let held = fragments[origin], let first = held[0]?.lsa else { return [] }
        return (0..<first.fragmentCount).compactMap { held[$0]?.lsa }
    }

    /// Headers of the origins in `included`, sorted by key.
    func headers(of included: Set<ProxyID>) -> [LSAHeader] {
        included.sorted().flatMap { origin in
            (fragments[origin] ?? [:]).values.map(\.lsa.header).sorted { $0.key < $1.key }
        }
    }

    /// Notes who is reachable, and forgets origins that have not been for long.
    mutating func age(reachable: Set<ProxyID>, at now: Instant) {
        for origin in fragments.keys {
            if reachable.contains(origin) {
                unreachableSince[origin] = nil
            } else if let since = unreachableSince[origin] {
                if now >= since + RoutingLimits.memory { remove(origin) }
            } else {
                unreachableSince[origin] = now
            }
        }
    }

    /// When the next origin is to be forgotten.
    var nextDeadline: Instant? { unreachableSince.values.min().map { $0 + RoutingLimits.memory } }
}
