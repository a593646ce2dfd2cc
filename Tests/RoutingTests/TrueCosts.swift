import NetworkModel

/// Floyd and Warshall over links as they are: what it costs from every gateway to every other.
struct TrueCosts {
    /// In order.
    let gateways: [ProxyID]
    private var numbers: [ProxyID: Int] = [:]
    /// From row to column: over one link, and over any number of them.
    private var direct: [Int32]
    private var least: [Int32]

    /// No way; two of them can be added.
    private static let none = Int32.max / 2

    init(
        _ gateways: some Sequence<ProxyID>,
        links: some Sequence<(from: ProxyID, to: ProxyID, cost: Int)>
    ) {
        self.gateways = gateways.sorted()
        let count = self.gateways.count
        for (number, id) in self.gateways.enumerated() { numbers[id] = number }
        direct = Array(repeating: Self.none, count: count * count)
        for number in 0..<count { direct[number * count + number] = 0 }
        for link in links {
            guard let from = numbers[link.from], let to = numbers[link.to] else { continue }
            let cost = min(Int32(link.cost), direct[from * count + to])
            direct[from * count + to] = cost
            direct[to * count + from] = cost
        }
        least = direct
        for middle in 0..<count { pass(middle, count) }
    }

    private mutating func pass(_ middle: Int, _ count: Int) {
        let onward = Array(least[middle * count..<(middle + 1) * count])
        for from in 0..<count {
            let first = least[from * count + middle]
            guard first < Self.none else { continue }
            let start = from * count
            for to in 0..<count where first + onward[to] < least[start + to] {
                least[start + to] = first + onward[to]
            }
        }
    }

    /// Nil: there is no way.
    func cost(_ from: ProxyID, _ to: ProxyID) -> Int? { entry(from, to, least) }

    private func entry(_ from: ProxyID, _ to: ProxyID, _ costs: [Int32]) -> Int? {
        guard let from = numbers[from], let to = numbers[to] else { return nil }
        let cost = costs[from * gateways.count + to]
        return cost < Self.none ? Int(cost) : nil
    }

    /// Those that any links join to a gateway, itself included; in order.
    func reached(from id: ProxyID) -> [ProxyID] { gateways.filter { cost(id, $0) != nil } }

    /// What the hops cost, each over its cheapest link; nil when there is no such way.
    func length(of hops: [ProxyID], from id: ProxyID) -> Int? {
        var (sum, last) = (0, id)
        for hop in hops {
            guard let step = entry(last, hop, direct) else { return nil }
            (sum, last) = (sum + step, hop)
        }
        return sum
    }
}
