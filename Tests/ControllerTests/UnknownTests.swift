import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

@Suite("What is unknown is not unwanted")
struct UnknownTests {
    private func exposed(_ namespaces: [String]) throws -> (Service, [Child]) {
        let service = try Samples.service {
            $0.listen = .init(namespaces: LabelSelector(matchLabels: ["team": "a"]))
        }
        let children = namespaces.map { name in
            Child.service(
                Core.Service { $0.metadata = ObjectMeta(name: "backend", namespace: name) }
            )
        }
        return (service, children)
    }

    private func namespace(_ name: String, consents: Bool = true) -> Core.Namespace {
        Core.Namespace {
            $0.metadata = ObjectMeta(name: name, labels: ["team": "a"])
            if consents { $0.metadata.labels[Names.consentLabel] = "shop" }
        }
    }

    private func kept(
        _ service: Service,
        _ there: [Child],
        isUsable: Bool,
        unreadable: Set<String> = []
    ) -> [String] {
        Exposure.kept(
            there,
            of: service,
            isUsable: isUsable,
            among: [namespace("a"), namespace("b", consents: false)],
            unreadable: unreadable
        ).map { $0.key.namespace ?? "" }
    }

    @Test("K2: a Service without a configuration keeps what it exposes where that is consented to")
    func exposures() throws {
        let (service, there) = try exposed(["a", "b", "c"])
        #expect(kept(service, there, isUsable: false) == ["a"])
        // With a configuration it is known what is wanted.
        #expect(kept(service, there, isUsable: true).isEmpty)
        // A namespace that does not decode has not taken its consent back.
        #expect(kept(service, there, isUsable: true, unreadable: ["c"]) == ["c"])
        #expect(kept(service, there, isUsable: false, unreadable: ["c"]) == ["a", "c"])
    }

    @Test("K2: what is deleted, or exposes nothing any more, keeps nothing")
    func unwanted() throws {
        var (service, there) = try exposed(["a", "c"])
        service.metadata.deletionTimestamp = Samples.now
        #expect(kept(service, there, isUsable: false, unreadable: ["c"]).isEmpty)
        service.metadata.deletionTimestamp = nil
        service.spec.listen = nil
        #expect(kept(service, there, isUsable: false, unreadable: ["c"]).isEmpty)
    }

    @Test("K2: gateways that do not tell what they see have not lost the link")
    func links() throws {
        let name = try #require(LinkName("west"))
        let up = try Samples.snapshot { snapshot in
            snapshot.links = [
                LinkSnapshot(name: name, reason: .connected, message: "", cost: .standard)
            ]
        }
        func status(_ link: Link, _ gateways: [GatewayView]) -> LinkStatus {
            var facts = LinkFacts()
            facts.hasSite = true
            facts.isCompiled = true
            facts.isApplied = gateways.allSatisfy { $0.snapshot != nil }
            facts.view = LinkView(site: SiteView(gateways: gateways), name: name)
            return LinkSummary.make(link: link, facts: facts, at: Samples.now)
        }
        var link = try Samples.link()
        link.status = status(link, [Samples.gateway(snapshot: up)])
        let connected = link.status.conditions
        #expect(connected.isTrue("Connected"))
        link.status = status(link, [Samples.gateway()])
        let silent = try #require(link.status.conditions[type: "Connected"])
        #expect(silent.status == .unknown && silent.reason == "ProxiesSilent")
        #expect(Transitions.link(link, before: connected, after: link.status.conditions).isEmpty)
        // The answer that comes back is no news either.
        #expect(Transitions.link(link, before: link.status.conditions, after: connected).isEmpty)
        // One that answers and one that does not: the link may be up at the other.
        let down = try Samples.snapshot { snapshot in
            snapshot.links = [
                LinkSnapshot(
                    name: name,
                    reason: .unreachable,
                    message: "nobody answers",
                    cost: .standard
                )
            ]
        }
        let both = status(link, [Samples.gateway("a", snapshot: down), Samples.gateway("b")])
        let half = try #require(both.conditions[type: "Connected"])
        #expect(half.status == .unknown)
        #expect(half.message.contains("1 of 2") && half.message.contains("nobody answers"))
        let lost = status(link, [Samples.gateway("a", snapshot: down)])
        #expect(lost.conditions[type: "Connected"]?.status == .no)
        #expect(
            Transitions.link(link, before: connected, after: lost.conditions).map(\.reason)
                == [.linkLost]
        )
    }

    @Test("K2: silent gateways take no target out of a Service's status")
    func targets() throws {
        var service = try Samples.service()
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.servingGateways = 1
        facts.isApplied = true
        facts.view.targets = [
            .init(
                port: try #require(PortName("http")),
                view: try Samples.target("A", name: "east", cost: 0)
            )
        ]
        service.status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
        #expect(service.status.targets.count == 1)
        facts.view = ServiceView()
        facts.isSilent = true
        facts.isApplied = false
        let status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
        #expect(status.targets == service.status.targets)
        #expect(status.conditions[type: "HasTargets"]?.status == .unknown)
        #expect(status.conditions[type: "Programmed"]?.status == .unknown)
    }
}
