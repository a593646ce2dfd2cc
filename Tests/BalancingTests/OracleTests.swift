import Balancing
import NetworkModel
import TestSupport
import Testing

/// The rule with policies, written down a second time: every target by hand, every cost scaled to one denominator.
private struct Oracle {
    struct Known {
        var cost: Int
        var endpoints: Int
        var isDraining = false
        var returned: Int?
        var isUsable = false
    }

    var policy = BalancingPolicy.standard
    var targets: [SiteID: Known] = [:]
    var own: [SiteID: Int] = [:]
    var others: [SiteID: Int] = [:]
    var elsewhere: [SiteID: Int] = [:]
    var last: [SiteID: Int] = [:]
    var picks = 0

    /// Its cost and its weight in thousandths; nil: it takes nothing.
    func offer(_ site: SiteID, at second: Int) -> (cost: Int, weight: Int)? {
        guard let known = targets[site] else { return nil }
        if let sites = policy.sites, !sites.contains(site) { return nil }
        var weight = policy.weightBy == .site ? 1 : known.endpoints
        if let given = policy.weights[site] { weight = Int(given) }
        guard weight > 0, known.endpoints >= Int(policy.minReadyEndpoints) else { return nil }
        var part = 1_000
        let slow = Int(policy.slowStart.components.seconds)
        if slow > 0, let returned = known.returned, second - returned < slow {
            part = max(100, 1_000 * (second - returned) / slow)
        }
        let cost = policy.costs[site].map { Int($0.value) } ?? known.cost
        return (cost, weight * part)
    }

    func winner(excluding excluded: [SiteID], at second: Int) -> SiteID? {
        let open = targets.keys.filter { !excluded.contains($0) && offer($0, at: second) != nil }
        let orderly = open.filter { targets[$0]?.isDraining == false }
        // Draining ones only while no tier has anything better.
        let class0 = orderly.isEmpty ? open : orderly
        guard let tier = class0.map({ policy.tier(of: $0) }).min() else { return nil }
        let rivals = class0.filter { policy.tier(of: $0) == tier }
        let scale = rivals.reduce(Int128(1)) { $0 * Int128(offer($1, at: second)?.weight ?? 1) }
        return rivals.min { left, right in
            let key = { (site: SiteID) -> (Int128, Int, Int, SiteID) in
                guard let offer = offer(site, at: second) else { return (.max, 0, 0, site) }
                let open = (own[site] ?? 0) + (others[site] ?? 0) + (elsewhere[site] ?? 0)
                let count = Int128(open) * 1_000
                return (
                    Int128(offer.cost) * scale + count * scale / Int128(offer.weight), offer.cost,
                    last[site] ?? 0, site
                )
            }
            return key(left) < key(right)
        }
    }

    mutating func pick(excluding excluded: [SiteID], at second: Int) -> SiteID? {
        guard let site = winner(excluding: excluded, at: second) else { return nil }
        picks += 1
        own[site, default: 0] += 1
        last[site] = picks
        return site
    }

    /// Whose weight rises from now on.
    mutating func settle(at second: Int) {
        for (site, known) in targets {
            let isUsable = !known.isDraining && offer(site, at: second) != nil
            if isUsable, !known.isUsable {
                targets[site]?.returned = second
            }
            targets[site]?.isUsable = isUsable
        }
    }
}

/// One random history, in both.
private struct History {
    let seed: UInt64
    var random: SeededGenerator
    var oracle = Oracle()
    var balancer = ServiceBalancer(service: service())
    var held: [Pick] = []
    var second = 1
    private let sites = 5

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        for index in 0..<sites where Bool.random(using: &random) || index == 0 {
            oracle.targets[site(index)] = known()
        }
        setPolicy()
        tell()
        // Those that are there from the beginning have their whole weight.
        for site in oracle.targets.keys { oracle.targets[site]?.returned = nil }
    }

    private var now: Instant { .seconds(Double(second)) }

    private mutating func known() -> Oracle.Known {
        Oracle.Known(
            cost: Int.random(in: 0...6, using: &random),
            endpoints: Int.random(in: 1...4, using: &random),
            isDraining: Int.random(in: 0..<6, using: &random) == 0
        )
    }

    private mutating func chance(_ of: Int) -> Bool { Int.random(in: 0..<of, using: &random) == 0 }

    mutating func setPolicy() {
        var policy = BalancingPolicy.standard
        defer {
            oracle.policy = policy
            balancer.setPolicy(policy, at: now)
            oracle.settle(at: second)
        }
        if chance(4) { return }
        if chance(3) { policy.weightBy = .site }
        for index in 0..<sites {
            if chance(4) { policy.weights[site(index)] = UInt32.random(in: 0...5, using: &random) }
            if chance(4) {
                policy.costs[site(index)] = PathCost(UInt32.random(in: 0...9, using: &random))
            }
        }
        if chance(2) { policy.tiers = [[site(1), site(2)], [site(0)]] }
        if chance(3) { policy.minReadyEndpoints = UInt32.random(in: 1...3, using: &random) }
        if chance(2) { policy.slowStart = .seconds(Int.random(in: 1...20, using: &random)) }
        if chance(4) { policy.sites = [site(0), site(2), site(3)] }
    }

    mutating func tell() {
        balancer.update(
            oracle.targets.map { id, known in
                let cost = PathCost(UInt32(known.cost))
                let count = UInt32(known.endpoints)
                return Target(
                    site: id,
                    reach: known.isDraining
                        ? .lastResort(cost: cost, endpoints: count)
                        : .usable(cost: cost, endpoints: count)
                )
            },
            at: now
        )
        oracle.settle(at: second)
    }

    mutating func step(_ number: Int) throws {
        if chance(3) { second += Int.random(in: 0...2, using: &random) }
        switch Int.random(in: 0..<20, using: &random) {
        case 0:
            let changed = site(Int.random(in: 0..<sites, using: &random))
            if let old = oracle.targets[changed] {
                var new = known()
                (new.returned, new.isUsable) = (old.returned, old.isUsable)
                oracle.targets[changed] = new
                tell()
            }
        case 1: setPolicy()
        case 2:
            var others: [SiteID: UInt64] = [:]
            for index in 0..<sites where chance(2) {
                others[site(index)] = .random(in: 0...9, using: &random)
            }
            if chance(2) {
                balancer.setOthers(others)
                oracle.others = others.mapValues(Int.init)
            } else {
                balancer.setElsewhere(others)
                oracle.elsewhere = others.mapValues(Int.init)
            }
        case 3...9 where !held.isEmpty:
            let pick = held.remove(at: Int.random(in: 0..<held.count, using: &random))
            balancer.release(pick)
            oracle.own[pick.site, default: 0] -= 1
        default:
            let excluded = chance(5) ? [site(Int.random(in: 0..<sites, using: &random))] : []
            let expected = oracle.pick(excluding: excluded, at: second)
            let first = balancer.ranking(at: now).first {
                $0.offer != nil && !excluded.contains($0.target.site)
            }
            let pick = balancer.pick(excluding: excluded, at: now)
            try #require(pick?.site == expected, "seed \(seed), step \(number)")
            try #require(first?.target.site == expected, "ranking: seed \(seed), step \(number)")
            if let pick {
                if number % 16 == 0 { try expectNoted(pick, expected, excluded, number) }
                held.append(pick)
            }
        }
    }

    /// The newest decision is this pick, and of what it saw the one that was chosen is the least.
    private func expectNoted(
        _ pick: Pick,
        _ expected: SiteID?,
        _ excluded: [SiteID],
        _ step: Int
    ) throws {
        let decision = try #require(balancer.decisions.first)
        let place = Comment(rawValue: "seed \(seed), step \(step)")
        try #require(decision.number == pick.number && decision.site == expected, place)
        let rivals = oracle.targets.keys.filter {
            oracle.offer($0, at: second) != nil && !excluded.contains($0)
        }
        try #require(decision.seen.map(\.site) == rivals.sorted(), place)
        let chosen = try #require(decision.seen.first { $0.site == expected }, place)
        for other in decision.seen where other.isPreferred == chosen.isPreferred {
            try #require(other.tier >= chosen.tier, place)
            if other.tier == chosen.tier {
                try #require(other.perceived >= chosen.perceived, place)
            }
        }
    }
}

@Suite("Balancer and oracle")
struct OracleTests {
    /// A million steps where they cost little.
    #if DEBUG
        private static let histories = 40
    #else
        private static let histories = 1_000
    #endif

    @Test(
        "every pick under random policies equals the naive rule, and is the first of the ranking",
        arguments: Seeds.some(histories)
    )
    func randomHistories(_ seed: UInt64) throws {
        var history = History(seed: seed)
        for step in 0..<1_000 { try history.step(step) }
    }
}
