import NetworkModel
import ProxyContract

// Costs that follow the round-trip time.

extension GatewayControl {
    /// Takes the bounds that are configured now; what was measured is kept.
    mutating func boundCosts() {
        var bounded: [LinkName: AutoCost] = [:]
        for link in configuration?.links ?? [] {
            guard let bounds = link.autoCost else { continue }
            bounded[link.name] = measuredCosts[link.name] ?? AutoCost(bounds)
            bounded[link.name]?.bounds = bounds
        }
        measuredCosts = bounded
    }

    /// Takes what was measured of the lanes.
    mutating func measureCosts(_ turn: inout Turn) {
        guard !measuredCosts.isEmpty else { return }
        let before = measuredCosts.compactMapValues(\.cost)
        for name in measuredCosts.keys {
            let figures = (links[name]?.lanes ?? []).compactMap {
                neighborhood.table.figures(of: $0)
            }
            if let time = figures.compactMap(\.roundTrip).min() {
                measuredCosts[name]?.take(time, at: turn.now)
            } else {
                measuredCosts[name]?.pause()
            }
        }
        guard measuredCosts.compactMapValues(\.cost) != before else { return }
        configureRouting(&turn)
        pace.changed(at: turn.now)
    }
}
