import Foundation
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
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

    @Test("P9: a Site whose link port cannot be bound is neither Programmed nor Reachable")
    func linkPort() throws {
        let site = Samples.site { $0.linkAccess = LinkAccess(type: .loadBalancer) }
        var facts = try facts()
        facts.endpoints = [LinkEndpoint(host: "192.0.2.7", port: 5671)]
        facts.view.gateways[0].snapshot?.linkPortError = "port 5671: in use"
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        for type in ["Ready", "Programmed", "Reachable"] {
            let condition = try #require(status.conditions[type: type])
            #expect(condition.reason == "ListenFailed" && condition.status == .no)
            #expect(condition.message.contains("port 5671: in use"))
        }
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

    @Test("it is not Ready while waiting for the gateways to apply the configuration")
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
        #expect(
            StatusDifference.between(site.status, status, generation: site.metadata.generation)
                == .none
        )
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
        facts.view.serviceCosts = [:]
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

    @Test("of a measured cost status shows the highest that a gateway routes with")
    func measuredCost() throws {
        var link = try Samples.link(cost: 20)
        link.spec.autoCost = .init(fromRoundTripTime: true)
        var facts = try facts(.connected, cost: 7)
        facts.view.highestCost = LinkCost(9)
        let status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(status.appliedCost == LinkCost(9))
    }

    @Test("the applied cost speaks of single services as well")
    func serviceCost() throws {
        var link = try Samples.link(cost: 20)
        let address = try #require(ServiceAddress("payments"))
        link.spec.serviceCosts = [.init(address: address, cost: .standard)]
        var facts = try facts(.connected, cost: 20)
        let applied = { LinkSummary.make(link: link, facts: $0, at: Samples.now).appliedCost }
        #expect(applied(facts) == nil)
        facts.view.serviceCosts = [address: .standard]
        #expect(applied(facts) == LinkCost(20))
        // They differ, or one has not told.
        facts.view.serviceCosts = nil
        #expect(applied(facts) == nil)
    }

    @Test("what two gateways lose at once is one loss")
    func losses() throws {
        var link = try Samples.link()
        var facts = try facts(.unreachable)
        facts.view.losses = [ProxyLosses(proxy: try Samples.proxy(1), count: 1)]
        facts.view.lastLoss = LinkLoss(
            time: Timestamp(seconds: 1000),
            reason: "Heartbeat",
            connections: 12
        )
        link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(link.status.failovers == 1)
        #expect(link.status.lastFailover?.connections == 12)
        facts.view.losses.append(ProxyLosses(proxy: try Samples.proxy(2), count: 1))
        facts.view.lastLoss?.time = Timestamp(seconds: 1001)
        link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(link.status.failovers == 1)
        facts.view.losses[0].count = 2
        facts.view.lastLoss?.time = Timestamp(seconds: 1060)
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

    @Test("a target that no path leads to has no cost")
    func noPath() throws {
        var facts = try facts()
        facts.view.targets[1].view.state = .unreachable
        facts.view.targets[1].view.pathCost = nil
        let service = try Samples.service()
        let status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
        #expect(status.targets.map(\.pathCost) == [0, nil])
        let written = String(decoding: try JSONEncoder().encode(status.targets), as: UTF8.self)
        #expect(written.components(separatedBy: "pathCost").count == 2)
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
