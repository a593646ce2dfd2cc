import NetworkModel

/// The link state database: the newest verified LSA of every fragment of every origin, for as long as it is believed.
///
/// Bounded as a whole and for each site, whose one key can sign for any number of gateways: what does not fit is refused,
/// and counted. A new gateway takes the place of one of its own site that is out of reach. What is forgotten while it could
/// still be believed leaves its sequence number behind, so that nothing older comes back in its place.
struct LSDB: Sendable {
    enum Insertion: Equatable {
        case accepted
        /// The same one, or an older one than is held or was.
        case known
        /// A bound of `RoutingLimits` is reached, or the fragment is one that its origin has given up.
        case refused
        /// Its lifetime is over, is too long, or begins later than clocks can differ.
        case outdated
    }

    private struct Held {
        let signed: SignedLSA
        /// Until when it is believed.
        let expires: Instant
    }

    /// What one site takes up.
    private struct Holding {
        var origins: Set<ProxyID> = []
        var bytes = 0
        var services = 0
    }

    /// Whose database it is: nobody's word ends that one.
    let own: ProxyID
    private var fragments: [ProxyID: [UInt16: Held]] = [:]
    /// Whoever something is held of, in order.
    private(set) var origins: [ProxyID] = []
    private(set) var refusals: UInt64 = 0
    private var held: [SiteID: Holding] = [:]
    private var floors = SequenceFloors()
    /// Since when SPF has not reached an origin.
    private var unreachableSince: [ProxyID: Instant] = [:]
    private var gone: Set<ProxyID> = []
    /// What the origins were before they started again.
    private var predecessors: [ProxyID: [ProxyID]] = [:]
    /// All of those: nothing that they said is believed any more.
    private var ended: Set<ProxyID> = []
    private var newlyEnded: Set<ProxyID> = []
    /// When the next LSA expires, or the next origin is to be forgotten; never too late.
    private(set) var nextDeadline: Instant?

    init(own: ProxyID) { self.own = own }

    // MARK: Reading

    /// Services that the advertisements of a site name.
    func serviceCount(of site: SiteID) -> Int { held[site]?.services ?? 0 }

    subscript(key: LSAKey) -> SignedLSA? { fragments[key.origin]?[key.fragment]?.signed }

    func sequence(_ key: LSAKey) -> UInt64? { self[key]?.lsa.sequence }

    func isNews(_ header: LSAHeader) -> Bool {
        guard !ended.contains(header.key.origin) else { return false }
        if let known = sequence(header.key) {
            guard header.sequence > known else { return false }
        } else if header.sequence < max(floors[header.key] ?? 1, 1) {
            return false
        }
        return !isGivenUp(header)
    }

    /// True for a fragment that its origin's newer fragment 0 does not count any more.
    private func isGivenUp(_ header: LSAHeader) -> Bool {
        let first = LSAKey(origin: header.key.origin, fragment: 0)
        guard let first = self[first]?.lsa else { return false }
        return header.key.fragment >= first.fragmentCount && header.sequence < first.sequence
    }

    /// The fragments that count, fragment 0 first; empty until fragment 0 is there.
    func advertisements(of origin: ProxyID) -> [LSA] {
        guard let own = fragments[origin], let first = own[0]?.signed.lsa else { return [] }
        return (0..<first.fragmentCount).compactMap { own[$0]?.signed.lsa }
    }

    func holds(_ origin: ProxyID) -> Bool { fragments[origin] != nil }

    /// The gateways of a site, in order.
    func origins(of site: SiteID) -> [ProxyID] { held[site]?.origins.sorted() ?? [] }

    /// What an origin names as its edges.
    func edges(of origin: ProxyID) -> [LSAEdge] { advertisements(of: origin).flatMap(\.edges) }

    /// Those to one neighbor.
    func edges(of origin: ProxyID, to neighbor: ProxyID) -> [LSAEdge] {
        advertisements(of: origin).flatMap { lsa in
            lsa.edges.filter { $0.neighbor == neighbor }
        }
    }

    /// Fragment 0, which speaks for the origin as a whole.
    func first(of origin: ProxyID) -> LSA? { fragments[origin]?[0]?.signed.lsa }

    /// Headers of the origins in `included`, which are in order; sorted by key.
    func headers(of included: [ProxyID]) -> [LSAHeader] {
        var headers: [LSAHeader] = []
        headers.reserveCapacity(included.count)
        for origin in included {
            let own = fragments[origin] ?? [:]
            let count = headers.count
            for entry in own.values { headers.append(entry.signed.lsa.header) }
            if own.count > 1 { headers[count...].sort { $0.key < $1.key } }
        }
        return headers
    }

    // MARK: Changes

    /// Takes an LSA that came at `now`, when the wall clock said `wall`.
    mutating func insert(_ signed: SignedLSA, at now: Instant, wall: Int64) -> Insertion {
        let lsa = signed.lsa
        guard isNews(lsa.header) else { return isGivenUp(lsa.header) ? .refused : .known }
        guard let rest = Self.rest(of: lsa, wall: wall) else { return .outdated }
        guard Int(lsa.fragment) < RoutingLimits.fragmentsPerOrigin, makeRoom(for: signed) else {
            refusals += 1
            return .refused
        }
        var own = fragments[lsa.origin] ?? [:]
        own[lsa.fragment] = Held(signed: signed, expires: now + rest)
        if lsa.fragment == 0 {
            own = own.filter {
                $0.key < lsa.fragmentCount || $0.value.signed.lsa.sequence > lsa.sequence
            }
        }
        replace(lsa.origin, by: own)
        for origin in lsa.predecessors where origin != self.own && fragments[origin] != nil {
            remove(origin)
        }
        floors.drop(lsa.key)
        wake(by: now + rest)
        return .accepted
    }

    /// For how long it is still believed; nil when it is not.
    private static func rest(of lsa: LSA, wall: Int64) -> Duration? {
        let (age, overflow) = wall.subtractingReportingOverflow(lsa.issued)
        let slack = RoutingLimits.clockSlack
        guard !overflow, lsa.lifetime <= RoutingLimits.longestLifetime, age >= -slack,
            age < Int64(lsa.lifetime) + slack
        else { return nil }
        return .seconds(Int64(lsa.lifetime) + slack - age)
    }

    private mutating func wake(by deadline: Instant) {
        nextDeadline = min(nextDeadline ?? deadline, deadline)
    }

    /// Forgets an origin, and whatever it said that is older than what is forgotten.
    mutating func remove(_ origin: ProxyID) {
        for (fragment, entry) in fragments[origin] ?? [:] {
            let key = LSAKey(origin: origin, fragment: fragment)
            floors.set(key, to: entry.signed.lsa.sequence, until: entry.expires)
        }
        replace(origin, by: nil)
        unreachableSince[origin] = nil
        gone.insert(origin)
    }

    private mutating func replace(_ origin: ProxyID, by own: [UInt16: Held]?) {
        var holding = held[origin.site] ?? Holding()
        for entry in (fragments[origin] ?? [:]).values {
            holding.bytes -= entry.signed.bytes.count
            holding.services -= entry.signed.lsa.services.count
        }
        for entry in (own ?? [:]).values {
            holding.bytes += entry.signed.bytes.count
            holding.services += entry.signed.lsa.services.count
        }
        if (own == nil) != (fragments[origin] == nil) { setPlace(of: origin, isHeld: own != nil) }
        fragments[origin] = own
        note(own?[0]?.signed.lsa.predecessors ?? [], of: origin)
        if own == nil { holding.origins.remove(origin) } else { holding.origins.insert(origin) }
        held[origin.site] = holding.origins.isEmpty ? nil : holding
    }

    private mutating func setPlace(of origin: ProxyID, isHeld: Bool) {
        var (low, high) = (0, origins.count)
        while low < high {
            let middle = (low + high) / 2
            if origins[middle] < origin { low = middle + 1 } else { high = middle }
        }
        if isHeld { origins.insert(origin, at: low) } else { origins.remove(at: low) }
    }

    private mutating func note(_ earlier: [ProxyID], of origin: ProxyID) {
        guard predecessors[origin] ?? [] != earlier else { return }
        predecessors[origin] = earlier.isEmpty ? nil : earlier
        let all = Set(predecessors.values.joined()).subtracting([own])
        newlyEnded.formUnion(all.subtracting(ended))
        ended = all
    }

    /// Forgets gateways of the same site that are out of reach, the longest first, until there is room.
    private mutating func makeRoom(for signed: SignedLSA) -> Bool {
        let origin = signed.lsa.origin
        let replaced = self[signed.lsa.key]
        while true {
            let holding = held[origin.site] ?? Holding()
            let isKnown = holding.origins.contains(origin)
            let bytes = holding.bytes - (replaced?.bytes.count ?? 0) + signed.bytes.count
            let services =
                holding.services - (replaced?.lsa.services.count ?? 0) + signed.lsa.services.count
            let fits =
                bytes <= RoutingLimits.bytesPerSite && services <= RoutingLimits.servicesPerSite
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

    // MARK: Time

    /// Notes who is out of reach; all others are reachable.
    mutating func note(unreachable: Set<ProxyID>, at now: Instant) {
        for origin in unreachableSince.keys where !unreachable.contains(origin) {
            unreachableSince[origin] = nil
        }
        for origin in unreachable where holds(origin) && unreachableSince[origin] == nil {
            unreachableSince[origin] = now
            wake(by: now + RoutingLimits.memory)
        }
    }

    /// Drops what is believed no longer.
    mutating func expire(at now: Instant) {
        for (origin, own) in fragments {
            let live = own.filter { now < $0.value.expires }
            guard live.count < own.count else { continue }
            replace(origin, by: live.isEmpty ? nil : live)
            if live.isEmpty { unreachableSince[origin] = nil }
            gone.insert(origin)
        }
        floors.expire(at: now)
    }

    /// Forgets origins that have been out of reach for long, and finds the next deadline.
    mutating func forget(at now: Instant) {
        for (origin, since) in unreachableSince where now >= since + RoutingLimits.memory {
            remove(origin)
        }
        let expiries = fragments.values.lazy.flatMap { $0.values.lazy.map(\.expires) }.min()
        let memories = unreachableSince.values.min().map { $0 + RoutingLimits.memory }
        nextDeadline = [expiries, memories].compactMap(\.self).min()
    }

    /// The processes of which it came to be known since the last call that they have ended.
    mutating func takeEnded() -> Set<ProxyID> {
        defer { newlyEnded = [] }
        return newlyEnded
    }

    /// The origins of which something was dropped or forgotten since the last call.
    mutating func takeGone() -> Set<ProxyID> {
        defer { gone = [] }
        return gone
    }
}

/// The sequence numbers of LSAs that were forgotten before they expired: what is older stays forgotten.
private struct SequenceFloors: Sendable {
    private struct Floor {
        let sequence: UInt64
        let until: Instant
    }

    private var sites: [SiteID: [LSAKey: Floor]] = [:]

    subscript(key: LSAKey) -> UInt64? { sites[key.origin.site]?[key]?.sequence }

    mutating func drop(_ key: LSAKey) { sites[key.origin.site]?[key] = nil }

    /// Of one site at most `RoutingLimits.floorsPerSite` are kept: those that would expire first give way.
    mutating func set(_ key: LSAKey, to sequence: UInt64, until: Instant) {
        var own = sites[key.origin.site] ?? [:]
        own[key] = Floor(sequence: sequence, until: until)
        if own.count > RoutingLimits.floorsPerSite,
            let first = own.min(by: { ($0.value.until, $0.key) < ($1.value.until, $1.key) })
        {
            own[first.key] = nil
        }
        sites[key.origin.site] = own
    }

    mutating func expire(at now: Instant) {
        sites = sites.mapValues { $0.filter { now < $0.value.until } }.filter { !$0.value.isEmpty }
    }
}
