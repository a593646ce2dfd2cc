import NetworkModel

/// Turns this gateway's edges and services into LSAs, at a bounded pace.
///
/// What differs from the last origination is signed anew; when the bucket is empty the newest state waits for a token
/// and is never dropped. What stays the same is signed anew when a third of its lifetime has passed.
struct Origination: Sendable {
    /// What the LSAs say; cut into fragments when it is long.
    struct Content: Equatable, Sendable {
        var overload = false
        var displayName = ""
        var agreementKey: [UInt8] = []
        var certificateChain: [[UInt8]] = []
        var predecessors: [ProxyID] = []
        var serviceCosts: [LSAServiceCost] = []
        var loads: [LSALoad] = []
        var edges: [LSAEdge] = []
        var services: [LSAService] = []
    }

    /// A fragment as last handed out for signing; sequence numbers and dates aside, what the network knows.
    private struct Originated {
        var lsa: LSA
        var at: Instant
    }

    private let origin: ProxyID
    private var bucket = TokenBucket(
        perSecond: RoutingLimits.originationsPerSecond,
        burst: RoutingLimits.originationBurst
    )
    private var layout = FragmentLayout()
    private var sequence: UInt64 = 0
    private var originated: [Originated] = []
    private var requestedBy: Instant?
    /// The bucket is empty until then.
    private var notBefore: Instant?
    /// The wall clock's seconds less the monotonic clock's, when last looked at.
    private var clockOffset: Int64?

    private static let renewal: Duration = .seconds(Int64(RoutingLimits.lifetime) / 3)
    /// A wall clock that was set by more makes the dates of what was originated wrong.
    private static let clockTolerance: Int64 = 60

    init(origin: ProxyID) { self.origin = origin }

    /// Something changed: originate no later than `deadline`.
    mutating func request(by deadline: Instant) {
        requestedBy = min(requestedBy ?? deadline, deadline)
    }

    var dueAt: Instant? {
        let renewal = originated.map(\.at).min().map { $0 + Self.renewal }
        guard let due = [requestedBy, renewal].compactMap(\.self).min() else { return nil }
        return max(due, notBefore ?? due)
    }

    /// Someone holds an LSA of ours that is newer than what we made: overtake it.
    mutating func overtake(_ other: UInt64, at now: Instant) {
        guard other >= sequence, other < .max - 1_000_000 else { return }
        sequence = other
        originated = []
        request(by: now)
    }

    /// Dates everything anew after the wall clock was set.
    mutating func note(wall: Int64, at now: Instant) {
        let offset = wall - Int64(clamping: now.nanoseconds / 1_000_000_000)
        defer { clockOffset = offset }
        guard let clockOffset else { return }
        guard abs(offset - clockOffset) > Self.clockTolerance, !originated.isEmpty else { return }
        originated = []
        request(by: now)
    }

    /// The LSAs to sign now, if it is time.
    mutating func take(_ content: Content, at now: Instant, wall: Int64) -> [LSA] {
        guard let dueAt, now >= dueAt else { return [] }
        let wanted = fragments(content)
        let changed = wanted.indices.filter { index in
            guard index < originated.count else { return true }
            let old = originated[index]
            return !isEqual(wanted[index], old.lsa) || now >= old.at + Self.renewal
        }
        guard !changed.isEmpty else {
            requestedBy = nil
            return []
        }
        guard bucket.take(at: now) else {
            notBefore = bucket.nextToken
            return []
        }
        requestedBy = nil
        notBefore = nil
        originated = Array(originated.prefix(wanted.count))
        return changed.map { index in
            var lsa = wanted[index]
            sequence += 1
            lsa.sequence = sequence
            lsa.issued = wall
            let entry = Originated(lsa: lsa, at: now)
            if index < originated.count {
                originated[index] = entry
            } else {
                originated.append(entry)
            }
            return lsa
        }
    }

    private func isEqual(_ left: LSA, _ right: LSA) -> Bool {
        var left = left
        left.sequence = right.sequence
        left.issued = right.issued
        return left == right
    }

    private mutating func fragments(_ content: Content) -> [LSA] {
        var fragments = layout.fragments(
            of: origin,
            edges: content.edges,
            serviceCosts: content.serviceCosts,
            loads: content.loads,
            services: content.services
        )
        for index in fragments.indices {
            fragments[index].fragment = UInt16(index)
            fragments[index].fragmentCount = UInt16(fragments.count)
            fragments[index].overload = content.overload
            fragments[index].displayName = content.displayName
            fragments[index].agreementKey = content.agreementKey
            fragments[index].certificateChain = content.certificateChain
        }
        fragments[0].predecessors = content.predecessors.sorted()
        return fragments
    }
}
