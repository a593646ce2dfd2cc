import KubernetesAPI
import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import NetworkAPI

@Suite("Policies of Services")
struct PolicyTests {
    /// `east`, which calls B `west` and lets it in, and C `dr`.
    private func east(_ change: (inout SiteSpec) throws -> Void = { _ in }) throws -> Site {
        var site = Site(metadata: meta("east"))
        site.spec.allow = [NamedSite(siteID: try siteID("B"), name: "west")]
        site.spec.sites = [NamedSite(siteID: try siteID("C"), name: "dr")]
        try change(&site.spec)
        return site
    }

    @Test("sites are named as this Site names them, itself included, or by their identities")
    func names() throws {
        var balancing = ServiceSpec.Balancing()
        balancing.weightBy = .site
        balancing.weights = [.init(site: "west", weight: 3), .init(site: "dr", weight: 0)]
        balancing.costs = [.init(site: "east", cost: 50)]
        balancing.tiers = [
            .init(sites: ["west", "east"]), .init(sites: [String(repeating: "C", count: 26)]),
        ]
        balancing.minReadyEndpoints = 2
        balancing.slowStart = APIDuration("30s")
        let backend = try service("backend") {
            $0.balancing = balancing
            $0.fromSites = ["east", "west"]
        }
        let result = try compiled(site: try east(), services: [backend])
        #expect(result.findings.isEmpty)
        let (a, b, c) = (try siteID("A"), try siteID("B"), try siteID("C"))
        #expect(
            result.configuration.services[0].balancing
                == BalancingPolicy(
                    weightBy: .site,
                    weights: [b: 3, c: 0],
                    costs: [a: PathCost(50)],
                    tiers: [[a, b], [c]],
                    minReadyEndpoints: 2,
                    slowStart: .seconds(30),
                    sites: [a, b]
                )
        )
    }

    @Test("a Service that asks for nothing has no policy, and lets all sites in")
    func nothing() throws {
        let provider = try service("backend") {
            $0.hosts = ["192.0.2.1"]
            $0.balancing = .init()
        }
        let part = try compiled(site: try east(), services: [provider]).configuration.services[0]
        #expect(part.balancing == nil && part.allowedSites == nil)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let field: String
        var reason = Reason.invalid
        let message: String
        let change: @Sendable (inout ServiceSpec) -> Void

        var testDescription: String { "\(field): \(message)" }
    }

    private static func balancing(
        _ change: (inout ServiceSpec.Balancing) -> Void
    ) -> ServiceSpec.Balancing {
        var balancing = ServiceSpec.Balancing()
        change(&balancing)
        return balancing
    }

    private static let bad = [
        Bad(field: "spec.fromSites[0]", reason: .unknownSite, message: "name: north") {
            $0.fromSites = ["north"]
        },
        Bad(field: "spec.fromSites", message: "leave it out") { $0.fromSites = [] },
        Bad(field: "spec.allowedSites", message: "has none") { $0.allowedSites = ["west"] },
        Bad(field: "spec.balancing.weights[1].site", message: "listed twice") {
            $0.balancing = balancing {
                $0.weights = [
                    .init(site: "west", weight: 1),
                    .init(site: String(repeating: "B", count: 26), weight: 2),
                ]
            }
        },
        Bad(field: "spec.balancing.weights[0].weight", message: "from 0 to 1000, not 1001") {
            $0.balancing = balancing { $0.weights = [.init(site: "west", weight: 1_001)] }
        },
        Bad(field: "spec.balancing.costs[0].cost", message: "not -1") {
            $0.balancing = balancing { $0.costs = [.init(site: "west", cost: -1)] }
        },
        Bad(field: "spec.balancing.tiers[1].sites", message: "in tier 0 and in tier 1") {
            $0.balancing = balancing {
                $0.tiers = [.init(sites: ["west"]), .init(sites: ["west"])]
            }
        },
        Bad(field: "spec.balancing.tiers[0].sites", message: "at least one site") {
            $0.balancing = balancing { $0.tiers = [.init(sites: [])] }
        },
        Bad(field: "spec.balancing.minReadyEndpoints", message: "from 1 to") {
            $0.balancing = balancing { $0.minReadyEndpoints = 0 }
        },
        Bad(field: "spec.balancing.slowStart", message: "from 0s to 1h, not 2h") {
            $0.balancing = balancing { $0.slowStart = APIDuration("2h") }
        },
    ]

    @Test(
        "a policy that cannot be is told with field and remedy, and the others work on",
        arguments: bad
    )
    func badPolicy(_ bad: Bad) throws {
        let services = [try service("broken", bad.change), try service("fine")]
        let result = try compiled(site: try east(), services: services)
        #expect(result.configuration.services.map(\.name) == ["fine"])
        let findings = result.findings(of: .service, "broken")
        let finding = try #require(findings.first { $0.field == bad.field }, "\(findings)")
        #expect(finding.reason == bad.reason)
        #expect(finding.message.contains(bad.message), "\(finding.message)")
    }

    @Test("what the Site says of all sites holds for Services that say nothing themselves")
    func defaults() throws {
        let (a, b, c) = (try siteID("A"), try siteID("B"), try siteID("C"))
        let site = try east {
            $0.imports = Imports(trusted: ["west"])
            $0.exports = Exports(default: .deny)
        }
        let services = [
            try service("silent") { $0.hosts = ["192.0.2.1"] },
            try service("speaks") {
                $0.hosts = ["192.0.2.1"]
                $0.fromSites = ["dr"]
                $0.allowedSites = ["dr", "west"]
            },
            try service("consumes"),
        ]
        let parts = try compiled(site: site, services: services).configuration.services
        #expect(parts.map(\.name) == ["consumes", "silent", "speaks"])
        #expect(parts.map(\.balancing?.sites) == [[a, b], [a, b], [c]])
        #expect(parts.map(\.allowedSites) == [nil, [], [b, c]])
        #expect(parts[1].admits(a, own: a) && !parts[1].admits(b, own: a))
    }

    @Test("names that a Site binds twice, or not at all, are told")
    func book() throws {
        let site = try east {
            $0.sites = [
                NamedSite(siteID: try siteID("D"), name: "west"),
                NamedSite(siteID: try siteID("E")),
                NamedSite(siteID: try siteID("F"), name: "east"),
            ]
            $0.imports = Imports(trusted: ["north"])
        }
        let result = try compiled(site: site)
        #expect(
            result.findings.map(\.field)
                == ["spec.sites[0].name", "spec.sites[1].name", "spec", "spec.imports.trusted[0]"]
        )
        #expect(result.findings.last?.reason == .unknownSite)
        let book = SiteBook(of: site, try siteID("A"))
        #expect(book.site("west") == (try siteID("B")), "what allow says is older")
        #expect(book.site("east") == (try siteID("A")))
        #expect(book.trusted == [try siteID("A")], "an unknown name trusts nobody")
    }

    @Test("another book touches only those whom it concerns")
    func otherBook() throws {
        let start = Instant(nanoseconds: 0)
        var compiler = ServiceCompiler(listeners: .allocated(ListenerPorts(), now: start))
        compiler.setBook(SiteBook(of: try east(), try siteID("A")))
        compiler.set(try service("plain"))
        compiler.set(try service("named") { $0.fromSites = ["dr"] })
        compiler.set(try service("served") { $0.hosts = ["192.0.2.1"] })
        compiler.settle(at: start)
        let renamed = try east { $0.sites = [NamedSite(siteID: try siteID("D"), name: "dr")] }
        compiler.setBook(SiteBook(of: renamed, try siteID("A")))
        #expect(compiler.settle(at: start) == ["named"])
        #expect(compiler.service("named")?.balancing?.sites == [try siteID("D")])
        compiler.setBook(SiteBook(of: try east { $0.sites = nil }, try siteID("A")))
        #expect(compiler.settle(at: start) == ["named"])
        #expect(compiler.service("named") == nil)
        let denying = try east { $0.exports = Exports(default: .deny) }
        compiler.setBook(SiteBook(of: denying, try siteID("A")))
        #expect(compiler.settle(at: start) == ["named", "served"])
        #expect(compiler.service("served")?.allowedSites == [])
    }
}
