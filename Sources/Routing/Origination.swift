import NetworkModel

/// Turns this gateway's edges and services into LSAs, at a bounded pace.
///
/// What differs from the last origination is signed anew; when the bucket is empty the newest state waits for a token
/// and is never dropped.
struct Origination: Sendable {
    /// What the LSAs say; cut into fragments when it is long.
    struct Content: Equatable, Sendable {
        var overload = false
        var displayName = ""
        var agreementKey: [UInt8] = []
        var certificateChain: [[UInt8]] = []
        var edges: [LSAEdge] = []
        var services: [LSAService] = []
    }

    private let origin: ProxyID
    private var bucket = TokenBucket(
        perSecond: RoutingLimits.originationsPerSecond,
        burst: RoutingLimits.originationBurst
    )
    private var layout = FragmentLayout()
    private var sequence: UInt64 = 0
    /// As last handed out for signing; sequence numbers aside, what the network knows.
    private var originated: [LSA] = []
    private(set) var dueAt: Instant?

    init(origin: ProxyID) { self.origin = origin }

    /// Something changed: originate no later than `deadline`.
    mutating func request(by deadline: Instant) {
        dueAt = min(dueAt ?? deadline, deadline)
    }

    /// Someone holds an LSA of ours that is newer than what we made: overtake it.
    mutating func overtake(_ other: UInt64, at now: Instant) {
        guard other >= sequence, other < .max - 1_000_000 else { return }
        sequence = other
        originated = []
        request(by: now)
    }

    /// The LSAs to sign now, if it is time.
    mutating func take(_ content: Content, at now: Instant) -> [LSA] {
        guard let dueAt, now >= dueAt else { return [] }
        let wanted = fragments(content)
        let isSame =
            wanted.count == originated.count
            && zip(wanted, originated).allSatisfy { isEqual($0, $1) }
        guard !isSame else {
            self.dueAt = nil
            return []
        }
        guard bucket.take(at: now) else {
            self.dueAt = bucket.nextToken
            return []
        }
        self.dueAt = nil
        var changed: [LSA] = []
        var next: [LSA] = []
        for (index, var lsa) in wanted.enumerated() {
            if index < originated.count, isEqual(lsa, originated[index]) {
                next.append(originated[index])
            } else {
                sequence += 1
                lsa.sequence = sequence
                next.append(lsa)
                changed.append(lsa)
            }
        }
        originated = next
        return changed
    }

    private func isEqual(_ left: LSA, _ right: LSA) -> Bool {
        var left = left
        left.sequence = right.sequence
        return left == right
    }

    private mutating func fragments(_ content: Content) -> [LSA] {
        var fragments = layout.fragments(
            of: origin,
            edges: content.edges,
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
        return fragments
    }
}
