import NetworkModel
import SiteConfiguration
import SiteControl
import Wire

/// Lanes that others take the place of.
///
/// Once the neighbor has another lane, each carries its streams to the end, and nothing new, and is closed when it is
/// empty; at the latest after `drain.grace`, whether there is another or not. Confined to loop 0.
final class LaneDrains {
    private struct Leaving {
        let link: LinkName
        let cost: LinkCost
        let deadline: Instant
        /// Nothing new is opened on it.
        var isRetired = false
        /// Looks in a row that found no stream: gauges are up to 200 ms old.
        var emptyLooks = 0
    }

    private unowned let control: ControlPlane
    private var leaving: [LaneID: Leaving] = [:]
    private var isTicking = false
    private static let interval: Duration = .milliseconds(250)

    init(control: ControlPlane) { self.control = control }

    /// Others take the place of these lanes of a Link, as soon as they are there.
    func add(_ lanes: [LaneID], of link: LinkConfiguration) {
        let grace = (control.document?.configuration.drain ?? .standard).grace
        for id in lanes {
            leaving[id] = Leaving(
                link: link.name,
                cost: link.cost,
                deadline: control.loop.now + grace
            )
        }
        lanesChanged()
        tick()
    }

    /// What Links cost that are configured no more, while lanes of theirs are left.
    var costs: [LinkName: LinkCost] {
        leaving.values.reduce(into: [:]) { $0[$1.link] = $1.cost }
    }

    /// The lane has ended.
    func ended(_ id: LaneID) {
        guard leaving.removeValue(forKey: id) != nil else { return }
        control.configureRouting()
    }

    private func tick() {
        guard !isTicking, !leaving.isEmpty else { return }
        isTicking = true
        control.loop.schedule(after: Self.interval) { [weak self] _ in
            guard let self else { return }
            isTicking = false
            lanesChanged()
            closeDue()
            tick()
        }
    }

    /// Lanes have come that may take the place of others.
    func lanesChanged() {
        for (id, lane) in leaving where !lane.isRetired {
            guard let owner = control.adjacencies.owner(of: id),
                let neighbor = control.adjacencies[owner],
                neighbor.lanes.contains(where: { leaving[$0.id] == nil }),
                let index = control.loop(of: id)
            else { continue }
            leaving[id]?.isRetired = true
            control.core.tellAgent(index) { $0.retire(id) }
        }
    }

    private func closeDue() {
        let now = control.loop.now
        for (id, lane) in leaving {
            let neighbor = control.adjacencies.owner(of: id).flatMap { control.adjacencies[$0] }
            let entry = neighbor?.lanes.first { $0.id == id }
            let isEmpty = entry.map { $0.gauge.active == 0 } ?? true
            let emptyLooks = isEmpty && lane.isRetired ? lane.emptyLooks + 1 : 0
            leaving[id]?.emptyLooks = emptyLooks
            guard now >= lane.deadline || emptyLooks > 1 else { continue }
            control.closeLane(id, LaneClosing(.configurationChanged))
        }
    }
}
