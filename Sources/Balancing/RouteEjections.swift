package import NetworkModel

/// The ways to one target: the proxies after this one, the egress last.
package struct Ways: Hashable, Sendable {
    /// Those of the lowest cost, which take turns.
    package var routes: [[ProxyID]]
    /// Dearer ones, the cheapest first: tried when none of `routes` leads to an answer.
    package var detours: [[ProxyID]]

    package init(routes: [[ProxyID]] = [], detours: [[ProxyID]] = []) {
        self.routes = routes
        self.detours = detours
    }
}

/// A way that was chosen for one attempt.
package struct WayPick: Hashable, Sendable {
    package let route: [ProxyID]
    fileprivate let number: UInt64
}

/// Routes on which an attempt met silence, or a proxy that knew no further way: left alone for a while, then probed.
///
/// That says nothing of the target, which other routes may still reach: the route is ejected, not the site. Bounded: of
/// too many routes, those are forgotten whose time is over first.
package struct RouteEjections: Sendable {
    private var ejections: [[ProxyID]: Ejection<FailoverReason>] = [:]
    private var picks: UInt64 = 0
    private static let limit = 1_024

    package init() {}

    package var isEmpty: Bool { ejections.isEmpty }

    /// The next way to try after those in `tried`; nil when none is left.
    ///
    /// Routes of the lowest cost come first, beginning with number `turn`, then detours; ejected ones come last.
    package mutating func pick(
        _ ways: Ways,
        turn: UInt64,
        excluding tried: [[ProxyID]],
        at now: Instant
    ) -> WayPick? {
        let count = ways.routes.count
        var fallback: [ProxyID]?
        for index in 0..<(count + ways.detours.count) {
            let route =
                index < count
                ? ways.routes[Int((turn &+ UInt64(index)) % UInt64(count))]
                : ways.detours[index - count]
            guard !tried.contains(route) else { continue }
            if ejections[route]?.isDue(at: now) ?? true { return choose(route, at: now) }
            fallback = fallback ?? route
        }
        return fallback.map { choose($0, at: now) }
    }

    private mutating func choose(_ route: [ProxyID], at now: Instant) -> WayPick {
        picks += 1
        if !ejections.isEmpty { ejections[route]?.startProbe(picks, at: now) }
        return WayPick(route: route, number: picks)
    }

    /// The egress answered, whatever it said.
    package mutating func answered(_ pick: WayPick) {
        if !ejections.isEmpty { ejections[pick.route] = nil }
    }

    /// The attempt was given up for a reason that does not speak against the way.
    package mutating func abandoned(_ pick: WayPick) {
        if !ejections.isEmpty { ejections[pick.route]?.abandonProbe(pick.number) }
    }

    /// No answer came, or a proxy on the way could not pass the stream on.
    package mutating func failed(_ pick: WayPick, reason: FailoverReason, at now: Instant) {
        guard ejections[pick.route] == nil else {
            ejections[pick.route]?.fail(pick.number, at: now)
            return
        }
        if ejections.count >= Self.limit,
            let first = ejections.min(by: { $0.value.until < $1.value.until })
        {
            ejections[first.key] = nil
        }
        ejections[pick.route] = Ejection(reason: reason, at: now)
    }
}
