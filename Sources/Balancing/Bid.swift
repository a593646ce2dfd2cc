import NetworkModel

/// What one target bids for the next connection: all that decides but for ties, in 24 bytes without a reference.
///
/// A pick goes over the bids of all targets in a row, and its record is a copy of them.
struct Bid: Sendable {
    /// Rank, then tier: the least comes first, whatever it costs.
    private(set) var order: UInt16
    /// The part of the weight that counts; 1,000: all of it.
    private(set) var thousandths: UInt16
    /// The number of its site in the record of decisions.
    var site: UInt16 = 0
    let weight: UInt32
    let cost: UInt32
    /// Connections that count.
    var open: UInt64

    /// The order of a target that takes no connection.
    private static let none = UInt16.max
    private static let tierBits: UInt16 = 14

    init(_ slot: TargetSlot, slowStart: Duration, at now: Instant) {
        let offer = slot.terms.offer
        self.init(
            order: Self.none,
            thousandths: 1_000,
            weight: offer?.weight ?? 1,
            cost: offer?.cost.value ?? 0,
            open: slot.open
        )
        settle(slot, slowStart: slowStart, at: now)
    }

    /// No target.
    static let nothing = Bid(order: none, thousandths: 1_000, weight: 1, cost: 0, open: 0)

    private init(order: UInt16, thousandths: UInt16, weight: UInt32, cost: UInt32, open: UInt64) {
        (self.order, self.thousandths, self.weight) = (order, thousandths, weight)
        (self.cost, self.open) = (cost, open)
    }

    /// Takes what changes by the mere passing of time.
    mutating func settle(_ slot: TargetSlot, slowStart: Duration, at now: Instant) {
        guard slot.terms.offer != nil else { return }
        let last = (UInt16(1) << Self.tierBits) - 1
        let tier = UInt16(clamping: slot.terms.tier)
        order = slot.rank(at: now) << Self.tierBits | min(tier, last)
        thousandths = slot.thousandths(slowStart: slowStart, at: now)
    }

    /// Keeps the target out of one record.
    mutating func withdraw() { order = Self.none }

    var isOffer: Bool { order != Self.none }
    var tier: Int { Int(order & (1 << Self.tierBits - 1)) }
    /// False for one that is taken only while there is nothing better.
    var isPreferred: Bool { order >> Self.tierBits == 0 }

    var perceived: PerceivedCost {
        PerceivedCost(
            cost: PathCost(cost),
            open: open,
            weight: weight,
            thousandths: UInt32(thousandths)
        )
    }

    /// Whether it is better than the other one, by all that is said here; nil: neither is.
    func isBetter(than other: Bid) -> Bool? {
        if order != other.order { return order < other.order }
        let (product, otherProduct) = (total, other.total)
        // Nearly always the fractions can be compared in 64 bits.
        let isSmall =
            (product | open | otherProduct | other.open) >> 31 == 0
            && thousandths == 1_000 && other.thousandths == 1_000
        if isSmall {
            let left = (product + open) * UInt64(other.weight)
            let right = (otherProduct + other.open) * UInt64(weight)
            if left != right { return left < right }
        } else {
            let (left, right) = (perceived, other.perceived)
            if left != right { return left < right }
        }
        return cost == other.cost ? nil : cost < other.cost
    }

    private var total: UInt64 { UInt64(cost) &* UInt64(weight) }
}
