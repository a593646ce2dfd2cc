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

    package var all: [[ProxyID]] { routes + detours }
}

/// A way that was chosen for one attempt.
package struct WayPick: Hashable, Sendable {
    package let route: [ProxyID]
    fileprivate let number: UInt64
    /// It has led to an answer lately, or no other way is left that did not fail.
    package let isRelied: Bool
    /// How long the slowest answers from there take.
    fileprivate let slowest: Duration

    /// How long to wait for an answer before another way is tried; nil: for as long as the service allows.
    ///
    /// An egress says nothing before its server does, so a way is given up early only if it never led anywhere: after some
    /// round trips over it, and not before answers from the same site usually come. `roundTrip` is that to its first hop.
    package func patience(roundTrip: Duration?) -> Duration? {
        guard !isRelied else { return nil }
        let path = (roundTrip ?? .zero) * (Self.roundTrips * route.count)
        return max(Self.leastPatience, path, slowest * Self.answers)
    }

    private static let leastPatience: Duration = .milliseconds(400)
    private static let roundTrips = 4
    private static let answers = 3
}

/// Routes on which an attempt met silence, or a proxy that knew no further way: left alone for a while, then probed.
///
/// That says nothing of the target, which other routes may still reach: the route is ejected, not the site. Routes that lead to
/// answers are remembered as well: only on others is silence soon taken for what it is. Bounded: of too many routes, those
/// are forgotten whose time is over first.
package struct RouteEjections: Sendable {
    private var ejections: [[ProxyID]: Ejection<FailoverReason>] = [:]
    /// When a route has led to an answer last.
    private var answers: [[ProxyID]: Instant] = [:]
    /// How long the slowest answers of a site take, whatever the way: some servers are slow to accept.
    private var slowest: [SiteID: Duration] = [:]
    private var picks: UInt64 = 0
    private static let limit = 1_024
    /// For how long a route that led to an answer is relied upon.
    private static let memory: Duration = .seconds(60)

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
        var chosen: [ProxyID]?
        var fallback: [ProxyID]?
        for index in 0..<(count + ways.detours.count) {
            let route =
                index < count
                ? ways.routes[Int((turn &+ UInt64(index)) % UInt64(count))]
                : ways.detours[index - count]
            guard !tried.contains(route) else { continue }
            guard ejections[route]?.isDue(at: now) ?? true else {
                fallback = fallback ?? route
                continue
            }
            if let chosen { return choose(chosen, isLast: false, at: now) }
            chosen = route
        }
        return (chosen ?? fallback).map { choose($0, isLast: true, at: now) }
    }

    private mutating func choose(
        _ route: [ProxyID],
        isLast: Bool,
        at now: Instant
    ) -> WayPick {
        picks += 1
        if !ejections.isEmpty { ejections[route]?.startProbe(picks, at: now) }
        return WayPick(
            route: route,
            number: picks,
            isRelied: isLast || answers[route].map { now - $0 <= Self.memory } ?? false,
            slowest: route.last.flatMap { slowest[$0.site] } ?? .zero
        )
    }

    /// The egress answered, whatever it said, `time` after it was asked.
    package mutating func answered(_ pick: WayPick, after time: Duration, at now: Instant) {
        if !ejections.isEmpty { ejections[pick.route] = nil }
        if answers.updateValue(now, forKey: pick.route) == nil, answers.count > Self.limit,
            let first = answers.min(by: { $0.value < $1.value })
        {
            answers[first.key] = nil
        }
        guard let site = pick.route.last?.site else { return }
        let known = slowest[site] ?? .zero
        if slowest.count >= Self.limit, slowest[site] == nil { slowest = [:] }
        slowest[site] = time >= known ? time : known - (known - time) / 8
    }

    /// The attempt was given up for a reason that does not speak against the way.
    package mutating func abandoned(_ pick: WayPick) {
        if !ejections.isEmpty { ejections[pick.route]?.abandonProbe(pick.number) }
    }

    /// No answer came, or a proxy on the way could not pass the stream on.
    package mutating func failed(_ pick: WayPick, reason: FailoverReason, at now: Instant) {
        answers[pick.route] = nil
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
