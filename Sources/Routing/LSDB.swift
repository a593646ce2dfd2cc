import NetworkModel

/// The link state database: the newest verified LSA of every fragment of every origin.
///
/// Bounded as a whole and for each site, whose one key can sign for any number of gateways: what does not fit is refused,
/// and counted. A new gateway takes the place of one of its own site that is out of reach.
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
    private var held: [SiteID: Holding] = [:]
    /// Since when SPF has not reached an origin.
    private var unreachableSince: [ProxyID: Instant] = [:]

    /// What one site takes up.
    private struct Holding {
        var origins: Set<ProxyID> = []
        var bytes = 0
    }

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
        guard Int(lsa.fragment) < RoutingLimits.fragmentsPerOrigin, makeRoom(for: signed) else {
            refusals += 1
            return .refused
        }
        var own = fragments[lsa.origin] ?? [:]
        own[lsa.fragment] = signed
        if lsa.fragment == 0 {
            own = own.filter {
                $0.key < lsa.fragmentCount || $0.value.lsa.sequence > lsa.sequence
            }
        }
        replace(lsa.origin, by: own)
        return .accepted
    }

    mutating func remove(_ origin: ProxyID) {
        replace(origin, by: nil)
        unreachableSince[origin] = nil
    }

    private mutating func replace(_ origin: ProxyID, by own: [UInt16: SignedLSA]?) {
        var holding = held[origin.site] ?? Holding()
        holding.bytes -= Self.bytes(fragments[origin])
        holding.bytes += Self.bytes(own)
        fragments[origin] = own
        if own == nil { holding.origins.remove(origin) } else { holding.origins.insert(origin) }
        held[origin.site] = holding.origins.isEmpty ? nil : holding
    }

    private static func bytes(_ own: [UInt16: SignedLSA]?) -> Int {
        (own ?? [:]).values.reduce(0) { $0 + $1.bytes.count }
    }

    /// Forgets gateways of the same site that are out of reach, the longest first, until there is room.
    private mutating func makeRoom(for signed: SignedLSA) -> Bool {
        let origin = signed.lsa.origin
        let replaced = self[signed.lsa.key]?.bytes.count ?? 0
        while true {
            let holding = held[origin.site] ?? Holding()
            let isKnown = holding.origins.contains(origin)
            let fits =
                holding.bytes - replaced + signed.bytes.count <= RoutingLimits.bytesPerSite
                && (isKnown
                    || holding.origins.count < RoutingLimits.originsPerSite
                        && fragments.count < RoutingLimits.origins)
            if fits { return true }
            let idle = holding.origins.filter { $0 != origin && unreachableSince[$0] != nil }
            guard let oldest = idle.min(by: { isLonger($0, $1) }) else { return false }
            remove(oldest)
        }
    }

    private func isLonger(_ left: ProxyID, _ right: ProxyID) -> Bool {
        let zero = Instant(nanoseconds: 0)
        return (unreachableSince[left] ?? zero, left) < (unreachableSince[right] ?? zero, right)
    }

    /// The fragments that count, fragment 0 first; empty until fragment 0 is there.
    func advertisements(of origin: ProxyID) -> [LSA] {
        guard let own = fragments[origin], let first = own[0]?.lsa else { return [] }
        return (0..<first.fragmentCount).compactMap { own[$0]?.lsa }
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
