import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration
import StatusSummaries
import Testing

@testable import Controller

@Suite("Status of a Site")
struct SiteSummaryTests {
    private func facts(_ generation: UInt64 = 5) throws -> SiteFacts {
        var facts = SiteFacts()
        facts.generation = generation
        facts.view = SiteView(gateways: [
            Samples.gateway(snapshot: try Samples.snapshot(1, generation: 5))
        ])
        return facts
    }

    @Test("a Site that only dials out is Ready without being Reachable")
    func dialsOnly() throws {
        let status = SiteSummary.make(site: Samples.site(), facts: try facts(), at: Samples.now)
        #expect(
            status.conditions.brief == [
                "Ready=True,Ready", "Accepted=True,Accepted", "Programmed=True,Programmed",
                "Reachable=False,DialsOnly",
            ]
        )
        #expect(status.observedGeneration == 3)
        #expect(status.conditions.allSatisfy { $0.observedGeneration == 3 })
    }

    @Test("one that others link to is Ready once it has an address")
    func reachable() throws {
        let site = Samples.site { $0.linkAccess = LinkAccess(type: .loadBalancer) }
        var facts = try facts()
        facts.endpointsMissing = "no address yet"
        var status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Ready"]?.reason == "AddressPending")
        #expect(status.conditions.isTrue("Reconciling"))
        facts.endpoints = [LinkEndpoint(host: "192.0.2.7", port: 5671)]
        status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.conditions.isTrue("Ready"))
        #expect(status.conditions[type: "Reconciling"] == nil)
    }

    @Test("a younger Site of the namespace is Stalled and names the older one")
    func conflict() throws {
        var facts = SiteFacts()
        facts.finding = Finding(
            object: FoundObject(kind: .site, name: "second"),
            field: "metadata.name",
            reason: .conflict,
            message: "older Site \"east\""
        )
        let status = SiteSummary.make(site: Samples.site(), facts: facts, at: Samples.now)
        #expect(
            status.conditions.brief == [
                "Ready=False,Conflict", "Accepted=False,Conflict", "Stalled=True,Conflict",
            ]
        )
        #expect(status.siteID == nil)
        #expect(status.proxies == nil)
    }

    @Test("it is not Ready while gateways are taking up the configuration")
    func progressing() throws {
        let status = SiteSummary.make(site: Samples.site(), facts: try facts(6), at: Samples.now)
        #expect(status.conditions[type: "Ready"]?.reason == "Progressing")
    }

    @Test("a transition keeps its time while the status stays")
    func transitions() throws {
        var site = Samples.site()
        site.status = SiteSummary.make(site: site, facts: try facts(6), at: Samples.now)
        let later = Timestamp(seconds: Samples.now.seconds + 60)
        let same = SiteSummary.make(site: site, facts: try facts(6), at: later)
        #expect(same == site.status)
        let ready = SiteSummary.make(site: site, facts: try facts(5), at: later)
        #expect(ready.conditions[type: "Ready"]?.lastTransitionTime == later)
        #expect(ready.conditions[type: "Accepted"]?.lastTransitionTime == Samples.now)
    }
}

@Suite("Status of a Link")
struct LinkSummaryTests {
    private func facts(_ reason: LinkSnapshot.Reason, cost: Int32 = 1) throws -> LinkFacts {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.site = SiteName(id: try Samples.siteID("E"), name: "east")
        facts.view.gateways = 1
        facts.view.connected = reason == .connected ? 1 : 0
        facts.view.reason = reason
        facts.view.message = "what the gateway says"
        facts.view.cost = LinkCost(cost)
        facts.isCompiled = true
        facts.isApplied = true
        return facts
    }

    @Test("without a Site it waits for one, and is Stalled, NoSite, after half a minute")
    func noSite() throws {
        var link = try Samples.link()
        func isStalled(after seconds: Int64) -> Bool {
            let now = Timestamp(seconds: Samples.now.seconds + seconds)
            link.status = LinkSummary.make(link: link, facts: LinkFacts(), at: now)
            #expect(link.status.conditions[type: "Ready"]?.reason == "NoSite")
            #expect(
                link.status.conditions.isTrue("Reconciling")
                    != link.status.conditions.isTrue("Stalled")
            )
            return link.status.conditions.isTrue("Stalled")
        }
        func awaited(at seconds: Int64) -> Duration? {
            link.siteAwaited(at: Timestamp(seconds: Samples.now.seconds + seconds))
        }
        #expect(!isStalled(after: 0))
        #expect(awaited(at: 0) == .seconds(30))
        // A look in between does not put the end off.
        #expect(!isStalled(after: 29))
        #expect(awaited(at: 29) == .seconds(1))
        #expect(awaited(at: 31) == .seconds(1))
        #expect(isStalled(after: 30))
        #expect(awaited(at: 30) == nil)
    }

    @Test("NotAllowed gives the line to add, and is not Stalled: the other side may heal it")
    func notAllowed() throws {
        let status = LinkSummary.make(
            link: try Samples.link(),
            facts: try facts(.notAllowed),
            at: Samples.now
        )
        let condition = try #require(status.conditions[type: "Connected"])
        #expect(condition.reason == "NotAllowed")
        #expect(condition.message.contains("- {siteID: \(try Samples.siteID("E")), name: east}"))
        #expect(!status.conditions.isTrue("Stalled"))
    }

    @Test(
        "a wrong pin and a link to oneself are Stalled",
        arguments: [LinkSnapshot.Reason.siteIDMismatch, .toSelf]
    )
    func stalled(_ reason: LinkSnapshot.Reason) throws {
        let status = LinkSummary.make(
            link: try Samples.link(),
            facts: try facts(reason),
            at: Samples.now
        )
        #expect(status.conditions[type: "Stalled"]?.reason == reason.rawValue)
        #expect(status.conditions[type: "Ready"]?.message == "what the gateway says")
    }

    @Test("the applied cost follows once everybody routes with it")
    func cost() throws {
        var link = try Samples.link(cost: 20)
        var facts = try facts(.connected, cost: 20)
        link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(link.status.appliedCost == LinkCost(20))
        link.spec.cost = LinkCost(30)
        #expect(
            LinkSummary.make(link: link, facts: facts, at: Samples.now).appliedCost == LinkCost(20)
        )
        facts.view.cost = LinkCost(30)
        facts.isApplied = false
        #expect(
            LinkSummary.make(link: link, facts: facts, at: Samples.now).appliedCost == LinkCost(20)
        )
        facts.isApplied = true
        #expect(
            LinkSummary.make(link: link, facts: facts, at: Samples.now).appliedCost == LinkCost(30)
        )
    }

    @Test("what two gateways lose at once is one loss")
    func losses() throws {
        var link = try Samples.link()
        var facts = try facts(.unreachable)
        facts.view.losses = [ProxyLosses(proxy: try Samples.proxy(1), count: 1)]
        facts.view.lastLoss = LinkLoss(time: 1000, reason: "Heartbeat", connections: 12)
        link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(link.status.failovers == 1)
        #expect(link.status.lastFailover?.connections == 12)
        facts.view.losses.append(ProxyLosses(proxy: try Samples.proxy(2), count: 1))
        facts.view.lastLoss?.time = 1001
        link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(link.status.failovers == 1)
        facts.view.losses[0].count = 2
        facts.view.lastLoss?.time = 1060
        link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(link.status.failovers == 2)
        #expect(link.status.lastFailover?.time.seconds == 1060)
        #expect(LinkSummary.make(link: link, facts: facts, at: Samples.now) == link.status)
    }

    @Test("connecting and losing are one Event each")
    func events() throws {
        let link = try Samples.link()
        let up = LinkSummary.make(link: link, facts: try facts(.connected), at: Samples.now)
            .conditions
        let down = LinkSummary.make(link: link, facts: try facts(.unreachable), at: Samples.now)
            .conditions
        #expect(Transitions.link(link, before: [], after: up).map(\.reason) == [.linkConnected])
        #expect(Transitions.link(link, before: up, after: up).isEmpty)
        #expect(Transitions.link(link, before: up, after: down).map(\.reason) == [.linkLost])
        #expect(Transitions.link(link, before: [], after: down).isEmpty)
    }

    @Test(
        "a transition that is found again after a crash has the same Event; the next one has another"
    )
    func eventNames() throws {
        let link = try Samples.link()
        func conditions(
            _ reason: LinkSnapshot.Reason,
            at seconds: Int64,
            after before: [Condition] = []
        )
            throws -> [Condition]
        {
            var link = link
            link.status.conditions = before
            return LinkSummary.make(
                link: link,
                facts: try facts(reason),
                at: Timestamp(seconds: Samples.now.seconds + seconds)
            ).conditions
        }
        func name(_ before: [Condition], _ after: [Condition]) throws -> String {
            try #require(Transitions.link(link, before: before, after: after).first?.name)
        }
        let up = try conditions(.connected, at: 0)
        let down = try conditions(.unreachable, at: 60, after: up)
        let again = try conditions(.unreachable, at: 75, after: up)
        #expect(down != again)
        #expect(try name(up, down) == name(up, again))
        let back = try conditions(.connected, at: 90, after: down)
        let gone = try conditions(.unreachable, at: 120, after: back)
        #expect(try name(back, gone) != name(up, down))
    }
}

@Suite("Status of a Service")
struct ServiceSummaryTests {
    private func facts() throws -> ServiceFacts {
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.servingGateways = 1
        facts.isCompiled = true
        facts.isApplied = true
        facts.view.targets = [
            .init(
                port: try #require(PortName("http")),
                view: try Samples.target("A", name: "east", cost: 0, connections: 14)
            ),
            .init(
                port: try #require(PortName("http")),
                view: try Samples.target(
                    "W",
                    name: "west",
                    cost: 20,
                    state: .ejected,
                    reason: "ConnectRefused"
                )
            ),
        ]
        facts.view.active = 14
        facts.view.readings = [ProxyReading(proxy: try Samples.proxy(1), opened: 20, failed: 1)]
        return facts
    }

    @Test("a Service with a usable target is Ready and says what it sees")
    func ready() throws {
        let status = ServiceSummary.make(
            service: try Samples.service(),
            facts: try facts(),
            at: Samples.now
        )
        #expect(
            status.conditions.brief == [
                "Ready=True,Ready", "Accepted=True,Accepted", "Programmed=True,Programmed",
                "HasTargets=True,TargetsUsable",
            ]
        )
        #expect(status.targets.map(\.site) == ["east", "west"])
        #expect(status.targets.map(\.state) == ["Usable", "Ejected"])
        #expect(status.targets[0].port == nil)
        #expect(status.activeSites == ["east"])
        #expect(status.connections == .init(active: 14, opened: 20, failed: 1))
        #expect(status.failovers == 0)
    }

    @Test("a foreign core Service in the way is a Conflict that names it")
    func conflict() throws {
        var facts = try facts()
        facts.conflicts = ["the Service backend in namespace shop was not made by Tieline"]
        let status = ServiceSummary.make(
            service: try Samples.service(),
            facts: facts,
            at: Samples.now
        )
        #expect(status.conditions[type: "Programmed"]?.reason == "Conflict")
        #expect(status.conditions[type: "Ready"]?.message.contains("Service backend") == true)
        #expect(status.conditions.isTrue("Stalled"))
        #expect(
            Transitions.conflict(try Samples.service(), before: [], after: status.conditions)
                .map(\.reason) == [.conflict]
        )
    }

    @Test("without a usable target it says why each is not")
    func noTargets() throws {
        var facts = try facts()
        facts.view.targets.removeFirst()
        var status = ServiceSummary.make(
            service: try Samples.service(),
            facts: facts,
            at: Samples.now
        )
        #expect(status.conditions[type: "HasTargets"]?.reason == "NoUsableTargets")
        #expect(status.conditions[type: "HasTargets"]?.message == "west: ConnectRefused")
        facts.view.targets = []
        status = ServiceSummary.make(service: try Samples.service(), facts: facts, at: Samples.now)
        #expect(status.conditions[type: "HasTargets"]?.reason == "NoTargets")
        #expect(!status.conditions.isTrue("Stalled"))
    }

    @Test("with several ports a target says which")
    func ports() throws {
        let status = ServiceSummary.make(
            service: try Samples.service(ports: ["http", "metrics"]),
            facts: try facts(),
            at: Samples.now
        )
        #expect(status.targets.map(\.port) == ["http", "http"])
    }
}

@Suite("When a status is written")
struct PacingTests {
    private let place = StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "a"))

    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("what a status says comes before what it counts; cursors are nothing")
    func differences() throws {
        var before = ServiceStatus()
        before.connections = .init(active: 100, opened: 500)
        var after = before
        #expect(StatusDifference.between(before, after) == .none)
        after.connections?.active = 105
        #expect(StatusDifference.between(before, after) == .fewCounts)
        after.connections?.active = 120
        #expect(StatusDifference.between(before, after) == .manyCounts)
        after.connections?.active = 0
        #expect(StatusDifference.between(before, after) == .manyCounts)
        after.failovers = 1
        #expect(StatusDifference.between(before, after) == .observation)
        after.cursors = [ProxyCursor(proxy: try Samples.proxy(1), failovers: 1)]
        #expect(StatusDifference.between(before, after) == .booking)
        after = before
        after.observedGeneration = 4
        #expect(StatusDifference.between(before, after) == .answer)
    }

    @Test("what has come true is told apart from all other changes")
    func improvements() {
        func status(_ truths: [ConditionType: Bool]) -> ServiceStatus {
            var status = ServiceStatus()
            for (type, isTrue) in truths {
                status.conditions.set(
                    type.rawValue,
                    isTrue ? .yes : .no,
                    reason: "R",
                    at: Samples.now
                )
            }
            return status
        }
        let before = status([.ready: false, .hasTargets: true])
        func difference(_ truths: [ConditionType: Bool]) -> StatusDifference {
            .between(before, status(truths))
        }
        #expect(difference([.ready: true, .hasTargets: true]) == .improvement)
        #expect(difference([.ready: false, .hasTargets: false]) == .observation)
        #expect(difference([.ready: true, .hasTargets: false]) == .observation)
        #expect(difference([.ready: false, .hasTargets: true, .stalled: true]) == .observation)
    }

    @Test("K16: bad news is written at once, then after 2, 4, 8 and 10 s; good news never waits")
    func pace() {
        var pacer = StatusPacer()
        func write(_ difference: StatusDifference, at time: UInt64) -> StatusPacer.Decision {
            let decision = pacer.decide(place, difference, at: at(time))
            if decision == .write { pacer.wrote(place, difference, at: at(time)) }
            return decision
        }
        #expect(write(.observation, at: 0) == .write)
        #expect(write(.observation, at: 50) == .wait(.milliseconds(1950)))
        #expect(write(.observation, at: 2000) == .write)
        #expect(write(.improvement, at: 2500) == .write)
        #expect(write(.observation, at: 3000) == .wait(.milliseconds(7500)))
        #expect(write(.booking, at: 3001) == .write)
        #expect(write(.observation, at: 10_500) == .write)
        #expect(write(.observation, at: 20_000) == .wait(.milliseconds(500)))
        // A write that fails is tried again as if it had not been.
        #expect(pacer.decide(place, .observation, at: at(20_500)) == .write)
        #expect(pacer.decide(place, .observation, at: at(20_501)) == .write)
        // Whoever edits starts anew, and so does what was calm.
        #expect(write(.observation, at: 20_502) == .write)
        #expect(write(.answer, at: 20_600) == .write)
        #expect(write(.observation, at: 20_601) == .write)
        #expect(write(.observation, at: 40_601) == .write)
        #expect(write(.observation, at: 40_602) == .wait(.milliseconds(1999)))
        // Others are not held back.
        let other = StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "b"))
        #expect(pacer.decide(other, .observation, at: at(40_602)) == .write)
    }

    @Test("K16: a link that flaps every 2.5 s costs fewer writes, and ends as it is")
    func flapping() {
        var pacer = StatusPacer()
        var isStoredUp = true
        var writes = 0
        // Five times lost and connected within 25 s; asked again whenever it was told to wait.
        for time in stride(from: UInt64(0), through: 60_000, by: 10) {
            let isUp = time >= 25_000 || (time / 2500) % 2 == 1
            guard isUp != isStoredUp else { continue }
            let difference: StatusDifference = isUp ? .improvement : .observation
            guard pacer.decide(place, difference, at: at(time)) == .write else { continue }
            pacer.wrote(place, difference, at: at(time))
            isStoredUp = isUp
            writes += 1
        }
        #expect(isStoredUp)
        #expect(writes == 6, "10 without a pace")
    }

    @Test("what is wrong with a spec is told though the site works on")
    func problems() {
        let site = Samples.site()
        var facts = SiteFacts()
        facts.problem = SpecProblem("two sites are named west")
        facts.view = SiteView(gateways: [Samples.gateway()])
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Accepted"]?.message == facts.problem?.message)
        #expect(status.conditions.isTrue("Stalled"))
        #expect(status.proxies?.ready == 1)
    }

    @Test("conditions of others are neither written nor a reason to write")
    func foreignConditions() {
        var site = Samples.site()
        site.status = SiteSummary.make(site: site, facts: SiteFacts(), at: Samples.now)
        let ours = site.status.conditions
        let foreign = Condition(
            type: "example.com/Audited",
            status: .yes,
            reason: "Done",
            message: "",
            observedGeneration: nil,
            lastTransitionTime: Samples.now
        )
        site.status.conditions.insert(foreign, at: 0)
        let status = SiteSummary.make(site: site, facts: SiteFacts(), at: Samples.now)
        #expect(status.conditions == ours)
        #expect(StatusDifference.between(site.status, status) == .none)
    }

    @Test("a Site that loses its namespace to another one goes on counting when it gets it back")
    func countersOfTheRefused() throws {
        var site = Samples.site()
        site.status.connections = ConnectionCounts(active: 3, opened: 500)
        site.status.cursors = [ProxyCursor(proxy: try Samples.proxy(1), opened: 500)]
        var facts = SiteFacts()
        facts.finding = Finding(
            object: FoundObject(kind: .site, name: "east"),
            field: "metadata.name",
            reason: .conflict,
            message: "m"
        )
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.connections?.opened == 500 && status.cursors == site.status.cursors)
        #expect(status.conditions.isTrue("Stalled"))
    }

    @Test("counts wait, are written once, and wait again")
    func waits() {
        var pacer = StatusPacer()
        #expect(pacer.decide(place, .manyCounts, at: at(0)) == .wait(.milliseconds(400)))
        #expect(pacer.decide(place, .manyCounts, at: at(100)) == .wait(.milliseconds(300)))
        #expect(pacer.decide(place, .fewCounts, at: at(400)) == .write)
        #expect(pacer.decide(place, .none, at: at(401)) == .skip)
        #expect(pacer.decide(place, .fewCounts, at: at(500)) == .wait(.seconds(1)))
        #expect(pacer.decide(place, .answer, at: at(501)) == .write)
    }

    @Test("a measurement waits for a minute, and gives its place up for counts")
    func measurements() {
        var pacer = StatusPacer()
        #expect(pacer.decide(place, .measurement, at: at(0)) == .wait(.seconds(60)))
        #expect(pacer.decide(place, .measurement, at: at(1000)) == .wait(.seconds(59)))
        #expect(pacer.decide(place, .fewCounts, at: at(2000)) == .wait(.seconds(1)))
        #expect(pacer.decide(place, .manyCounts, at: at(2100)) == .wait(.milliseconds(400)))
        #expect(pacer.decide(place, .measurement, at: at(3200)) == .write)
        #expect(pacer.decide(place, .measurement, at: at(3300)) == .wait(.seconds(60)))
    }

    @Test("an object that is asked about all the time keeps no other one waiting")
    func reservesNothing() {
        var pacer = StatusPacer()
        let other = StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "b"))
        for turn in 0..<1000 {
            let difference: StatusDifference = turn % 2 == 0 ? .fewCounts : .manyCounts
            _ = pacer.decide(place, difference, at: at(UInt64(turn)))
        }
        #expect(pacer.decide(other, .fewCounts, at: at(1000)) == .wait(.seconds(1)))
    }

    @Test(
        "those that wait are told turns one after another; the oldest comes first, the gone give way"
    )
    func turns() {
        var pacer = StatusPacer()
        let places = (0..<4).map {
            StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "\($0)"))
        }
        for place in places { _ = pacer.decide(place, .manyCounts, at: at(0)) }
        // All are due now: one is written, the others come back one by one.
        #expect(pacer.decide(places[1], .manyCounts, at: at(400)) == .wait(.milliseconds(200)))
        #expect(pacer.decide(places[3], .manyCounts, at: at(400)) == .wait(.milliseconds(600)))
        #expect(pacer.decide(places[0], .manyCounts, at: at(400)) == .write)
        #expect(pacer.decide(places[2], .manyCounts, at: at(400)) == .wait(.milliseconds(400)))
        pacer.forget(places[1])
        #expect(pacer.decide(places[2], .manyCounts, at: at(600)) == .write)
        #expect(pacer.count == 1)
        // One that never comes back does not hold its place for ever.
        #expect(pacer.decide(place, .manyCounts, at: at(700)) == .wait(.milliseconds(400)))
        #expect(pacer.decide(place, .manyCounts, at: at(3000)) == .write)
    }

    @Test("a hundred objects share five writes a second, first come first served")
    func budget() {
        var pacer = StatusPacer()
        let places = (0..<100).map {
            StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "\($0)"))
        }
        for place in places { _ = pacer.decide(place, .manyCounts, at: at(0)) }
        var written: [Int] = []
        for time in stride(from: UInt64(0), through: 10_000, by: 100) {
            for (index, place) in places.enumerated() where !written.contains(index) {
                if pacer.decide(place, .manyCounts, at: at(time)) == .write {
                    written.append(index)
                }
            }
        }
        #expect(written == Array(0..<49))
    }
}
