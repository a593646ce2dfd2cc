import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import TestSupport
import Testing

@testable import Controller

@Suite("What the verdict on a Site rests on")
struct SiteVerdictTests {
    @Test("K13: a Site is not judged by what its children were before the last write")
    func unseen() throws {
        var facts = SiteFacts()
        facts.generation = 5
        facts.view = SiteView(gateways: [Samples.gateway(snapshot: try Samples.snapshot())])
        facts.endpoints = [LinkEndpoint(host: "10.0.0.1", port: 5671)]
        var site = Samples.site { $0.linkAccess = LinkAccess(type: .clusterIP) }
        site.status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(Verdict(site.status, generation: 3) == .current)
        site.metadata.generation = 4
        facts.isUnseen = true
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(Verdict(status, generation: 4) == .inProgress)
        #expect(status.conditions[type: "Reachable"]?.observedGeneration == 3)
    }

    @Test("a name that the Site does not bind is told as such, and lasts until its author binds it")
    func unknownName() throws {
        var facts = SiteFacts()
        facts.view = SiteView(gateways: [Samples.gateway(snapshot: try Samples.snapshot())])
        facts.problem = SpecProblem("\"nobody\" is no name", reason: .unknownSite)
        let status = SiteSummary.make(site: Samples.site(), facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Accepted"]?.reason == "UnknownSite")
        #expect(status.conditions[type: "Stalled"]?.status == .yes)
    }

    @Test(
        "K5: a Link is not judged before the first lane that is dialed for it is up or has failed"
    )
    func firstDial() throws {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.view.gateways = 1
        var link = try Samples.link()
        func verdict(_ reason: LinkSnapshot.Reason) -> Verdict {
            facts.view.reason = reason
            facts.view.connected = reason == .connected ? 1 : 0
            link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
            #expect(keepsFluxRules(link.status, generation: link.metadata.generation ?? 0))
            return Verdict(link.status, generation: link.metadata.generation)
        }
        #expect(verdict(.connecting) == .inProgress)
        #expect(verdict(.connected) == .current)
        #expect(verdict(.connecting) == .current, "a link that is lost is the other site's matter")
        link.metadata.generation = 4
        #expect(verdict(.connecting) == .inProgress)
        #expect(verdict(.siteIDMismatch) == .failed)
    }

    @Test(
        "K14: the column STATUS is the reason of the first condition that is not as wished, else Ready"
    )
    func column() throws {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.view.gateways = 1
        facts.view.reason = .unreachable
        var link = try Samples.link()
        func summary() -> String? {
            LinkSummary.make(link: link, facts: facts, at: Samples.now).summary
        }
        #expect(summary() == "Progressing")
        facts.isApplied = true
        #expect(summary() == "Unreachable")
        facts.view.reason = .connected
        facts.view.connected = 1
        #expect(summary() == "Ready")
        link.metadata.generation = 4
        facts.isCompiled = false
        #expect(summary() == "Progressing")
        facts = LinkFacts()
        #expect(summary() == "NoSite")

        var other = ServiceFacts()
        other.hasSite = true
        other.isCompiled = true
        other.isApplied = true
        other.servingGateways = 1
        let service = try Samples.service()
        let status = ServiceSummary.make(service: service, facts: other, at: Samples.now)
        #expect(status.summary == "NoTargets")
    }

    @Test("P5: an object whose file cannot be read is Stalled; while the file is written it waits")
    func problems() throws {
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.servingGateways = 1
        let service = try Samples.service()
        func verdict(_ problem: SpecProblem?) -> Verdict {
            facts.problem = problem
            let status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
            #expect(status.conditions.isTrue("Programmed"), "it works on as it was")
            #expect(keepsFluxRules(status, generation: 3))
            return Verdict(status, generation: 3)
        }
        #expect(verdict(nil) == .current)
        #expect(verdict(SpecProblem("line 3")) == .failed)
        #expect(verdict(SpecProblem("it is being written", isPassing: true)) == .inProgress)
    }

    @Test("K13: what the rollout waits for is what a Site says that serves with an earlier version")
    func siteRollout() {
        var facts = SiteFacts()
        facts.generation = 5
        var snapshot = GatewayView(pod: "a", isReady: true)
        snapshot.isAwaited = false
        facts.view = SiteView(gateways: [snapshot])
        facts.rollout = "1 of 2 gateways are renewed"
        let site = Samples.site()
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Ready"]?.message == facts.rollout)
        #expect(Verdict(status, generation: site.metadata.generation) == .inProgress)
        facts.view = SiteView()
        facts.rollout = "exceeded quota"
        let refused = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(refused.conditions[type: "Ready"]?.message == "exceeded quota")
    }

    @Test("K13: an edit of a Link does not touch what the Site's Ready rests on")
    func siteSince() throws {
        let site = Samples.site()
        var record = SiteRecord(site: site)
        func take(_ generation: UInt64, cost: Int32, loops: Int) throws {
            let link = try Samples.link(cost: cost)
            try record.take(generation, links: [link], services: []) { $0.loops = loops }
        }
        try take(5, cost: 10, loops: 0)
        #expect(record.siteSince == 5)
        try take(6, cost: 20, loops: 0)
        #expect(record.siteSince == 5)
        try take(7, cost: 20, loops: 2)
        #expect(record.siteSince == 7)
    }

    @Test("K13: an edit while no controller ran touches nothing but what was edited")
    func editWithoutController() throws {
        let (site, link, service) = (
            Samples.site(), try Samples.link(cost: 10), try Samples.service()
        )
        var other = service
        other.metadata = Samples.metadata("other")
        var earlier = SiteRecord(site: site)
        try earlier.take(5, links: [link], services: [service, other])
        let head = try #require(earlier.head)
        var record = SiteRecord(site: site)
        record.restore(head, services: earlier.allServices)
        #expect(
            !record.hasCompiled(service, .service),
            "what was told is no word on what is wanted"
        )
        #expect(record.ports == earlier.ports)
        var edited = service
        edited.metadata.generation = 9
        edited.spec.ports[0].port = 9_999
        try record.take(6, links: [link], services: [edited, other])
        #expect(record.siteSince == 5)
        #expect(record.generation(of: link, .link) == 5)
        #expect(record.generation(of: other, .service) == 5)
        #expect(record.generation(of: edited, .service) == 6)
    }

    @Test("K13: what went while no controller ran is nowhere after that")
    func goneWithoutController() throws {
        let (site, link, service) = (Samples.site(), try Samples.link(), try Samples.service())
        var earlier = SiteRecord(site: site)
        try earlier.take(5, links: [link], services: [service])
        let head = try #require(earlier.head)
        var record = SiteRecord(site: site)
        record.restore(head, services: earlier.allServices)
        #expect(record.serviceNames == [service.metadata.name])
        try record.take(6, links: [], services: [])
        #expect(record.allServices.isEmpty && record.objects(since: 0...6).isEmpty)
    }
}
