import Balancing
import NetworkModel
import ProxyContract
import Testing
import Wire

@testable import SiteControl

@Suite("A sidecar's routes")
struct SidecarRoutesTests {
    private let own = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
    private let far = SiteID(publicKeyDigest: Array(repeating: 2, count: 32))
    private var egress: ProxyID { ProxyID(site: far, instance: 7) }

    private func gateway(_ instance: UInt64) -> ProxyID { ProxyID(site: own, instance: instance) }

    private func table(
        _ generation: UInt64,
        _ targets: [SidecarTarget],
        isLast: Bool = true,
        replacesAll: Bool = true
    ) throws -> SidecarTable {
        SidecarTable(
            generation: generation,
            replacesAll: replacesAll,
            isLast: isLast,
            services: [
                SidecarService(
                    service: try web,
                    timeouts: ServiceTimeouts(
                        connect: .seconds(3),
                        idle: .seconds(60),
                        halfClosed: .seconds(5)
                    ),
                    targets: targets
                )
            ]
        )
    }

    private var web: ServicePort { get throws { try #require(ServicePort("web/http")) } }

    private func target(_ cost: UInt32, weight: UInt32 = 1) -> SidecarTarget {
        SidecarTarget(
            Target(site: far, reach: .usable(cost: PathCost(cost), endpoints: weight)),
            routes: [[egress]]
        )
    }

    @Test("the gateway comes first in the route; its own servers are one hop")
    func routes() throws {
        var routes = SidecarRoutes()
        let local = SidecarTarget(
            Target(site: own, reach: .usable(cost: .zero, endpoints: 2)),
            routes: [[]]
        )
        #expect(routes.apply(try table(1, [local, target(4)]), from: gateway(1))?.generation == 1)
        let targets = routes.targets(try web)
            .sorted { $0.target.reach.cost?.value ?? 0 < $1.target.reach.cost?.value ?? 0 }
        #expect(targets.map(\.routes) == [[[gateway(1)]], [[gateway(1), egress]]])
        #expect(routes.timeouts(try web).connect == .seconds(3))
    }

    @Test("of two gateways the cheaper one is used, equal ones both")
    func twoGateways() throws {
        var routes = SidecarRoutes()
        _ = routes.apply(try table(1, [target(4)]), from: gateway(1))
        _ = routes.apply(try table(1, [target(9, weight: 3)]), from: gateway(2))
        #expect(routes.targets(try web).first?.target.reach.cost == PathCost(4))
        #expect(routes.targets(try web).first?.target.reach.endpoints == 3)
        #expect(routes.targets(try web).first?.routes == [[gateway(1), egress]])
        _ = routes.apply(try table(2, [target(4)]), from: gateway(2))
        #expect(
            routes.targets(try web).first?.routes == [[gateway(1), egress], [gateway(2), egress]]
        )
        // One gateway has lost the way: the other's is used, whatever it costs.
        let lost = SidecarTarget(Target(site: far, reach: .absent(.linkLost)), routes: [])
        _ = routes.apply(try table(3, [lost]), from: gateway(1))
        #expect(routes.targets(try web).first?.routes == [[gateway(2), egress]])
        routes.drop(gateway(2))
        #expect(routes.targets(try web).first?.target.reach == .absent(.linkLost))
    }

    @Test("policies of two gateways are joined, and go with the service's next table")
    func policies() throws {
        let other = SiteID(publicKeyDigest: Array(repeating: 3, count: 32))
        let policy = BalancingPolicy(
            weightBy: .site,
            weights: [far: 3],
            costs: [other: PathCost(7)],
            tiers: [[far], [other]],
            slowStart: .seconds(5),
            sites: [far]
        )
        var routes = SidecarRoutes()
        var first = try table(1, [target(4)])
        first.policies = [try #require(SidecarPolicy(policy, of: try web, for: [far]))]
        _ = routes.apply(first, from: gateway(1))
        var second = try table(1, [target(9)])
        second.policies = [try #require(SidecarPolicy(policy, of: try web, for: [other, far]))]
        _ = routes.apply(second, from: gateway(2))
        #expect(routes.policy(try web) == policy)
        for (number, instance) in [(2, 1), (2, 2)] as [(UInt64, UInt64)] {
            _ = routes.apply(
                try table(number, [target(4)], replacesAll: false),
                from: gateway(instance)
            )
        }
        #expect(routes.policy(try web) == .standard)
    }

    @Test("that first bytes travel with OPEN holds until a later table of the service says nothing")
    func early() throws {
        var routes = SidecarRoutes()
        var first = try table(1, [target(4)])
        first.early = [try web]
        let heard = try first.fragments().map { fragment in
            try fragment.encoded.withRawSpan { try SidecarTable.decode($0) }
        }
        for fragment in heard { _ = routes.apply(fragment, from: gateway(1)) }
        #expect(routes.isEarly(try web))
        _ = routes.apply(try table(2, [target(5)], replacesAll: false), from: gateway(1))
        #expect(!routes.isEarly(try web))
    }

    @Test("a policy over so many targets that it takes several frames arrives whole")
    func longPolicy() throws {
        let sites = (0..<2_000).map { number in
            SiteID(publicKeyDigest: [UInt8(number >> 8), UInt8(number & 255)] + zeros)
        }
        let weights = Dictionary(uniqueKeysWithValues: zip(sites, (1...2_000).map(UInt32.init)))
        let policy = BalancingPolicy(weights: weights)
        var whole = try table(1, [target(1)])
        whole.policies = [try #require(SidecarPolicy(policy, of: try web, for: sites))]
        let fragments = try whole.fragments().map { fragment in
            try fragment.encoded.withRawSpan { try SidecarTable.decode($0) }
        }
        #expect(fragments.count > 1)
        var routes = SidecarRoutes()
        for fragment in fragments { _ = routes.apply(fragment, from: gateway(1)) }
        #expect(routes.policy(try web) == policy)
    }

    @Test("a gateway that drains is used only while there is no other")
    func draining() throws {
        var routes = SidecarRoutes()
        _ = routes.apply(try table(1, [target(4)]), from: gateway(1))
        routes.setDraining(gateway(1))
        #expect(routes.targets(try web).first?.routes == [[gateway(1), egress]])
        _ = routes.apply(try table(1, [target(9)]), from: gateway(2))
        #expect(routes.targets(try web).first?.routes == [[gateway(2), egress]])
        routes.drop(gateway(2))
        #expect(routes.targets(try web).first?.routes == [[gateway(1), egress]])
    }

    @Test("a table in several frames is in force with the last one, and not before")
    func fragments() throws {
        var routes = SidecarRoutes()
        _ = routes.apply(try table(1, [target(4)]), from: gateway(1))
        #expect(
            routes.apply(try table(2, [target(8)], isLast: false), from: gateway(1))?.frames == 1
        )
        #expect(routes.targets(try web).first?.target.reach.cost == PathCost(4))
        let rest = SidecarTable(generation: 2, replacesAll: false)
        #expect(routes.apply(rest, from: gateway(1))?.generation == 2)
        #expect(routes.targets(try web).first?.target.reach.cost == PathCost(8))
        let removal = SidecarTable(generation: 3, replacesAll: false, removed: [try web])
        #expect(routes.apply(removal, from: gateway(1))?.generation == 3)
        #expect(routes.services.isEmpty)
    }

    @Test("a service that goes on over frames has all their targets; the next table its own")
    func continued() throws {
        let targets = (0..<2_000).map { number in
            let site = SiteID(publicKeyDigest: [UInt8(number >> 8), UInt8(number & 255)] + zeros)
            let reach = Reach.usable(cost: PathCost(UInt32(number)), endpoints: 1)
            return SidecarTarget(Target(site: site, reach: reach), routes: [[egress]])
        }
        var routes = SidecarRoutes()
        let fragments = try table(1, targets).fragments()
        #expect(fragments.count > 1)
        for fragment in fragments { _ = routes.apply(fragment, from: gateway(1)) }
        #expect(routes.targets(try web).count == 2_000)
        #expect(
            routes.apply(try table(2, [target(1)], replacesAll: false), from: gateway(1))?
                .generation == 2
        )
        #expect(routes.targets(try web).count == 1)
    }

    private var zeros: [UInt8] { Array(repeating: 0, count: 30) }

    @Test("an older table that comes late changes nothing, nor does its half")
    func late() throws {
        var routes = SidecarRoutes()
        #expect(routes.apply(try table(5, [target(4)]), from: gateway(1))?.generation == 5)
        #expect(routes.apply(try table(4, [target(8)]), from: gateway(1)) == nil)
        #expect(routes.apply(try table(5, [target(8)]), from: gateway(1)) == nil)
        #expect(routes.targets(try web).first?.target.reach.cost == PathCost(4))
        _ = routes.apply(try table(7, [target(9)], isLast: false), from: gateway(1))
        #expect(routes.apply(try table(6, [target(8)]), from: gateway(1)) == nil)
        #expect(
            routes.apply(SidecarTable(generation: 7, replacesAll: false), from: gateway(1))?
                .generation
                == 7
        )
        #expect(routes.targets(try web).first?.target.reach.cost == PathCost(9))
        // A new adjacency begins again.
        routes.drop(gateway(1))
        #expect(routes.apply(try table(1, [target(2)]), from: gateway(1))?.generation == 1)
    }

    @Test("a route with no room for the gateway is left out, and with the last one the target")
    func sixteenHops() throws {
        let long = (1...WireLimit.route).map { ProxyID(site: far, instance: UInt64($0)) }
        let usable = Target(site: far, reach: .usable(cost: PathCost(4), endpoints: 1))
        // At the gateway: what it tells fits behind it.
        let told = SidecarTarget(usable, within: [long, Array(long.dropLast())])
        #expect(told.routes == [Array(long.dropLast())])
        #expect(told.target == usable)
        let none = SidecarTarget(usable, within: [long])
        #expect(none.routes == [] && none.target.reach == .absent(.linkLost))
        #expect(
            SidecarTarget(usable, within: Array(repeating: [egress], count: 20)).routes.count == 8
        )

        // At the sidecar, whatever a gateway says.
        for route in [long, [gateway(1), egress]] {
            var routes = SidecarRoutes()
            let target = SidecarTarget(usable, routes: [route])
            _ = routes.apply(try table(1, [target]), from: gateway(1))
            let joined = try #require(routes.targets(try web).first)
            #expect(joined.routes.isEmpty && joined.target.reach == .absent(.linkLost))
        }
        var routes = SidecarRoutes()
        let most = SidecarTarget(usable, routes: [Array(long.dropLast())])
        _ = routes.apply(try table(1, [most]), from: gateway(1))
        let route = try #require(routes.targets(try web).first?.routes.first)
        var writer = FrameWriter()
        writer.route(route)
        #expect(route.count == WireLimit.route)
    }

    @Test("a sidecar's counters are bounded, those of known services are always taken")
    func reported() throws {
        var reported = SidecarServer.Reported()
        let known = try web
        let counter = { (service: ServicePort) in
            SidecarReport.Counter(service: service, active: 1, opened: 1, failed: 0, interrupted: 0)
        }
        for number in 0..<1_000 {
            let service = try #require(ServicePort("s\(number)/http"))
            reported.take(SidecarReport(counters: [counter(service)])) { $0 == known }
        }
        #expect(reported.counters.count == SidecarServer.Reported.unknownLimit)
        reported.take(SidecarReport(counters: [counter(known)])) { $0 == known }
        #expect(reported.counters[known] != nil)
    }

    @Test("a table of any length leaves in windows, and is in force with its last frame")
    func transfer() throws {
        let services = try (0..<20_000).map { number in
            SidecarService(
                service: try #require(ServicePort("service-\(number)/http")),
                timeouts: ServiceTimeouts(
                    connect: .seconds(3),
                    idle: .seconds(60),
                    halfClosed: .seconds(5)
                ),
                targets: [target(4)]
            )
        }
        let table = SidecarTable(generation: 3, replacesAll: true, services: services)
        var (transfer, leftOut) = TableTransfer.make(of: table)
        #expect(leftOut == 0 && transfer.frameCount > 2 * TableTransfer.window)
        var routes = SidecarRoutes()
        var queue = transfer.next(acknowledged: 0)
        #expect(queue.count == Int(TableTransfer.window))
        let more = transfer.next(acknowledged: 0)
        #expect(more.isEmpty)
        var arrived: UInt32 = 0
        while !queue.isEmpty {
            #expect(routes.services.isEmpty)
            let frame = try queue.removeFirst().withRawSpan { try SidecarTable.decode($0) }
            let answer = routes.apply(frame, from: gateway(1))
            arrived = try #require(answer).frames
            queue += transfer.next(acknowledged: arrived)
            #expect(queue.count <= Int(TableTransfer.window))
        }
        #expect(transfer.isSent && arrived == transfer.frameCount)
        #expect(routes.services.count == 20_000)
    }

    @Test("sidecars are told all that they want, then differences; nothing when nothing differs")
    func content() throws {
        let service = SidecarService(
            service: try web,
            timeouts: ServiceTimeouts(
                connect: .seconds(3),
                idle: .seconds(60),
                halfClosed: .seconds(5)
            ),
            targets: [target(4)]
        )
        let other = try #require(ServicePort("other/http"))
        var content = SidecarServer.Content()
        let policy = SidecarPolicy(
            BalancingPolicy(weightBy: .site),
            of: try web,
            for: [far]
        )
        content.services = [try web: .init(service: service, policy: policy)]
        let second = SidecarService(
            service: other,
            timeouts: ServiceTimeouts(
                connect: .seconds(3),
                idle: .seconds(60),
                halfClosed: .seconds(5)
            ),
            targets: []
        )
        content.services[other] = .init(service: second, isEarly: true)
        content.names = [far: "far", own: "own"]
        let everything = SidecarServer.Difference(isEverything: true)
        let all = content.table(
            .init(difference: everything, knowsPolicies: true, knowsEarly: true),
            generation: 1
        )
        #expect(all.early == [other])
        // An older sidecar ends the lane when something follows that it does not know.
        let older = content.table(
            .init(difference: everything, knowsPolicies: false, knowsEarly: false),
            generation: 1
        )
        #expect(all.policies == [try #require(policy)])
        #expect(older.early.isEmpty && older.policies.isEmpty)
        #expect(all.replacesAll && all.services.count == 2 && all.names.count == 2)
        let some = content.table(
            .init(difference: everything, wants: [try web], knowsPolicies: true, knowsEarly: true),
            generation: 1
        )
        #expect(some.replacesAll && some.services == [service])

        var difference = SidecarServer.Difference()
        #expect(difference.isEmpty)
        // What a sidecar does not want is no news to it.
        difference.add(.init(services: [other]), within: [try web])
        #expect(difference.isEmpty)
        // Only the configuration is another: an empty table, to be acknowledged.
        difference.add(.init(isOtherConfiguration: true), within: [try web])
        #expect(!difference.isEmpty)
        let empty = content.table(
            .init(difference: difference, wants: [try web], knowsPolicies: true, knowsEarly: true),
            generation: 2
        )
        #expect(!empty.replacesAll && empty.services.isEmpty && empty.names.isEmpty)
        content.services = [:]
        content.names[far] = "farther"
        difference.add(.init(services: [try web], names: [far]), within: [try web])
        let change = content.table(
            .init(difference: difference, wants: [try web], knowsPolicies: true, knowsEarly: true),
            generation: 3
        )
        #expect(try change.removed == [web] && change.services.isEmpty)
        #expect(change.names == [SidecarSiteName(site: far, name: "farther")])
        // Who knows nothing is told everything, whatever came before.
        var anew = everything
        anew.add(difference, within: nil)
        #expect(anew == everything)
    }
}
