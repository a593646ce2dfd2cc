import KubernetesAPI
import NetworkModel
import ProxyContract
import Testing

@testable import NetworkAPI

@Suite("Compile")
struct CompileTests {
    @Test("a full site becomes one configuration, sorted and with its defaults")
    func fullSite() throws {
        var site = Site(metadata: meta("east"))
        site.spec.linkAccess = LinkAccess(type: .loadBalancer)
        site.spec.allow = [
            NamedSite(siteID: try siteID("C"), name: "west"),
            NamedSite(siteID: try siteID("B")),
        ]
        site.spec.health = HealthSettings(misses: 5)
        let link = Link(
            metadata: meta("dr"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "dr.example.com", port: 5671)],
                remoteSiteID: try siteID("D"),
                cost: LinkCost(20),
                health: HealthSettings(heartbeat: APIDuration("1s"))
            )
        )
        let provider = try service("zoo") { $0.selector = ["app": "zoo"] }
        let outside = try service("db") { $0.hosts = ["10.1.2.3", "db.example.com"] }
        let consumer = try service("backend", address: "backend.shop")
        let result = try compiled(
            site: site,
            links: [link],
            services: [provider, outside, consumer]
        )
        #expect(result.findings.isEmpty)
        let configuration = result.configuration
        #expect(configuration.acceptsLinks)
        #expect(configuration.allow.map(\.name) == ["", "west"])
        #expect(configuration.health == HealthParameters(heartbeat: .milliseconds(250), misses: 5))
        let dr = try #require(configuration.links.first)
        #expect(dr.cost.value == 20)
        #expect(dr.health == HealthParameters(heartbeat: .seconds(1), misses: 5))
        #expect(configuration.services.map(\.name) == ["backend", "db", "zoo"])
        #expect(configuration.services[0].address.text == "backend.shop")
        #expect(configuration.services[0].ports[0].listen?.port == 10_000)
        #expect(configuration.services[1].provider == .hosts(["10.1.2.3", "db.example.com"]))
        #expect(configuration.services[1].ports[0].listen == nil)
        #expect(
            configuration.services[2].provider
                == .endpointSlices(service: ChildName.endpointsService(of: "zoo"))
        )
    }

    @Test(
        "grace, budget and PROXY protocol reach the configuration, and are absent where nothing says them"
    )
    func later() throws {
        var site = Site(metadata: meta("east"))
        var link = Link(
            metadata: meta("dr"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "dr.example.com", port: 5671)],
                remoteSiteID: try siteID("D")
            )
        )
        var backend = try service("backend") { $0.selector = ["app": "x"] }
        let plain = try compiled(site: site, links: [link], services: [backend]).configuration
        #expect(plain.memoryBudget == nil && plain.links[0].resumeGrace == nil)
        #expect(plain.services[0].proxyProtocol == nil && plain.services[0].earlyData == nil)
        site.spec.proxy = ProxySettings()
        site.spec.proxy?.memoryBudget = Quantity("64Mi")
        link.spec.resumeGrace = APIDuration("1m")
        backend.spec.proxyProtocol = true
        backend.spec.earlyData = true
        let full = try compiled(site: site, links: [link], services: [backend])
        #expect(full.findings.isEmpty)
        #expect(full.configuration.memoryBudget == 64 << 20)
        #expect(full.configuration.links[0].resumeGrace == .seconds(60))
        #expect(full.configuration.services[0].introducesClients)
        #expect(full.configuration.services[0].isEarly)
        site.spec.proxy?.memoryBudget = Quantity("8Mi")
        link.spec.resumeGrace = APIDuration("6m")
        let bad = try compiled(site: site, links: [link])
        #expect(bad.findings.map(\.field) == ["spec.proxy.memoryBudget", "spec.resumeGrace"])
        #expect(bad.findings.last?.message.contains("from 1s to 5m, not 6m") == true)
        #expect(bad.configuration.memoryBudget == nil && bad.configuration.links.isEmpty)
    }

    @Test("two allowed sites of one name are told, and both are let in")
    func sameName() throws {
        var site = Site(metadata: meta("east"))
        site.spec.allow = [
            NamedSite(siteID: try siteID("B"), name: "west"),
            NamedSite(siteID: try siteID("C"), name: "west"),
        ]
        let result = try compiled(site: site)
        #expect(result.findings.map(\.field) == ["spec.allow[1].name"])
        #expect(result.configuration.allow.count == 2)
    }

    @Test("what cannot be read keeps its part, its listener and its claims")
    func kept() throws {
        let services = [try service("a"), try service("b", port: 81)]
        let link = Link(
            metadata: meta("dr"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "dr.example.com", port: 5671)],
                remoteSiteID: try siteID("D")
            )
        )
        let before = try compiled(links: [link], services: services)
        let parts = KeptParts(of: before.configuration, links: ["dr"], services: ["b", "none"])
        #expect(parts.links.count == 1 && parts.services.count == 1)
        let after = compile(
            site: Site(metadata: meta("east")),
            siteID: try siteID("A"),
            links: [],
            services: [services[0], try service("thief", address: "b", port: 82)],
            listeners: .allocated(
                ListenerPorts(record: before.configuration.services),
                now: Instant(nanoseconds: 0)
            ),
            keeping: parts
        )
        #expect(after.configuration == before.configuration)
        #expect(after.findings.map(\.object.name) == ["thief"])
    }

    @Test("the order of the objects changes nothing")
    func orderFree() throws {
        let services = try (0..<6).map { try service("s\($0)", age: Int64($0)) }
        let forwards = try compiled(services: services)
        let backwards = try compiled(services: services.reversed())
        #expect(forwards == backwards)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let field: String
        var reason = Reason.invalid
        let message: String
        let change: @Sendable (inout ServiceSpec) -> Void
        var testDescription: String { "\(field): \(message)" }
    }

    static let badServices: [Bad] = [
        Bad(field: "spec.ports", message: "1 to 16 ports") { $0.ports = [] },
        Bad(field: "spec.ports[0].port", message: "from 1 to 65535") { $0.ports[0].port = 0 },
        Bad(field: "spec.ports[1].name", message: "rename one") {
            $0.ports.append($0.ports[0])
            $0.ports[1].port = 81
        },
        Bad(field: "spec.ports[1].port", message: "give each its own") {
            $0.ports.append($0.ports[0])
            if let name = PortName("other") { $0.ports[1].name = name }
        },
        Bad(field: "spec.ports[0].targetPort", message: "from 1 to 65535, not 70000") {
            $0.ports[0].targetPort = .int(70_000)
        },
        Bad(field: "spec.ports[0].targetPort", message: "name of a container's port") {
            $0.ports[0].targetPort = .string("8080")
        },
        Bad(field: "spec.ports[0].targetPort", message: "hosts have no named ports") {
            $0.hosts = ["10.0.0.1"]
            $0.ports[0].targetPort = .string("web")
        },
        Bad(field: "spec.hosts", message: "at most one of") {
            $0.selector = ["app": "x"]
            $0.hosts = ["10.0.0.1"]
        },
        Bad(field: "spec.selector", message: "must not be empty") { $0.selector = [:] },
        Bad(field: "spec.hosts", message: "1 to 64") { $0.hosts = [] },
        Bad(field: "spec.hosts[0]", message: "without a port") { $0.hosts = ["db:5432"] },
        Bad(field: "spec.hosts[0]", message: "gateway itself") { $0.hosts = ["127.0.0.1"] },
        Bad(field: "spec.hosts[1]", message: "listed twice") { $0.hosts = ["db", "db"] },
        Bad(field: "spec.timeouts.connect", message: "50ms to 1m, not 0s") {
            $0.timeouts = ServiceSpec.Timeouts(connect: APIDuration("0s"))
        },
        Bad(field: "spec.timeouts.idle", message: "0s (never) or from 1s") {
            $0.timeouts = ServiceSpec.Timeouts(idle: APIDuration("10ms"))
        },
        Bad(field: "spec.proxyProtocol", message: "sites that have the servers") {
            $0.proxyProtocol = true
        },
        Bad(field: "spec.listen.serviceName", message: "set listen.serviceName") {
            $0.listen = ServiceSpec.Listen(serviceName: "tieline-proxy")
        },
        Bad(field: "spec.listen.serviceName", message: "begins with a letter") {
            $0.listen = ServiceSpec.Listen(serviceName: "9to5")
        },
    ]

    @Test(
        "a bad service is left out with field and remedy, and the others work on",
        arguments: badServices
    )
    func badService(_ bad: Bad) throws {
        let broken = try service("broken", bad.change)
        let result = try compiled(services: [broken, try service("fine")])
        #expect(result.configuration.services.map(\.name) == ["fine"])
        let findings = result.findings(of: .service, "broken")
        let finding = try #require(findings.first { $0.field == bad.field }, "\(findings)")
        #expect(finding.reason == bad.reason)
        #expect(finding.condition == .accepted)
        #expect(finding.message.contains(bad.message), "\(finding.message)")
        #expect(result.findings.count == findings.count)
    }

    @Test("the older of two services has the address; the younger names it")
    func conflictingAddress() throws {
        let old = try service("old", age: 10, address: "backend") {
            $0.listen = ServiceSpec.Listen(serviceName: "one")
        }
        let young = try service("young", address: "backend")
        let result = try compiled(services: [young, old])
        #expect(result.configuration.services.map(\.name) == ["old"])
        let finding = try #require(result.findings(of: .service, "young").first)
        #expect(finding.reason == .conflict)
        #expect(finding.field == "spec.address")
        #expect(finding.message.contains("\"old\""))
    }

    @Test("a bad service claims nothing")
    func badServiceClaimsNothing() throws {
        let bad = try service("bad", age: 10, address: "backend") { $0.ports = [] }
        let good = try service("good", address: "backend")
        #expect(try compiled(services: [bad, good]).configuration.services.map(\.name) == ["good"])
    }

    @Test("two services cannot have one core Service")
    func conflictingServiceName() throws {
        let old = try service("backend", age: 10)
        let young = try service("other") {
            $0.listen = ServiceSpec.Listen(serviceName: "backend")
        }
        let finding = try #require(
            try compiled(services: [old, young]).findings(of: .service, "other").first
        )
        #expect(finding.reason == .conflict)
        #expect(finding.field == "spec.listen.serviceName")
    }

    @Test("a plain site listens on the services' own ports, each once, and has no Pods")
    func plainSite() throws {
        let first = try service("a", age: 3, port: 8080)
        let second = try service("b", age: 2, port: 8080)
        let pods = try service("c", age: 1, port: 8081) { $0.selector = ["app": "c"] }
        let local = try service("d", port: 8082) { $0.hosts = ["127.0.0.1"] }
        let result = try compiled(
            services: [first, second, pods, local],
            listeners: .direct(bind: "127.0.0.5")
        )
        #expect(result.configuration.services.map(\.name) == ["a", "d"])
        #expect(
            result.configuration.services[0].ports[0].listen
                == .init(host: "127.0.0.5", port: 8080)
        )
        #expect(result.findings(of: .service, "b").first?.field == "spec.ports[0].port")
        #expect(result.findings(of: .service, "c").first?.message.contains("no Pods") == true)
    }

    @Test("K3: a Link may name two identities of the other site, and none of its own")
    func nextRemoteSite() throws {
        func link(_ name: String, next: Character) throws -> Link {
            Link(
                metadata: meta(name),
                spec: LinkSpec(
                    endpoints: [LinkEndpoint(host: "a", port: 1)],
                    remoteSiteID: try siteID("B"),
                    nextRemoteSiteID: try siteID(next)
                )
            )
        }
        let result = try compiled(links: [
            link("own", next: "A"), link("same", next: "B"), link("two", next: "C"),
        ])
        #expect(result.configuration.links.map(\.name.text) == ["same", "two"])
        #expect(
            result.configuration.links.map(\.nextRemoteSite) == [nil, try siteID("C")]
        )
        #expect(result.findings(of: .link, "own").map(\.field) == ["spec.nextRemoteSiteID"])
    }

    @Test("a Link may have a cost of its own for single services, once for each and for so many")
    func serviceCosts() throws {
        func link(_ name: String, _ addresses: [String]) throws -> Link {
            let cost = try #require(LinkCost(9999))
            return Link(
                metadata: meta(name),
                spec: LinkSpec(
                    endpoints: [LinkEndpoint(host: "a", port: 1)],
                    remoteSiteID: try siteID("B"),
                    serviceCosts: try addresses.map {
                        .init(address: try #require(ServiceAddress($0)), cost: cost)
                    }
                )
            )
        }
        let result = try compiled(links: [
            link("good", ["payments", "a.b"]), link("twice", ["a", "b", "a"]),
            link("many", (0...64).map { "s\($0)" }),
        ])
        #expect(result.configuration.links.map(\.name.text) == ["good"])
        #expect(
            result.configuration.links[0].serviceCosts == [
                try #require(ServiceAddress("payments")): try #require(LinkCost(9999)),
                try #require(ServiceAddress("a.b")): try #require(LinkCost(9999)),
            ]
        )
        let twice = result.findings(of: .link, "twice").map(\.field)
        #expect(twice == ["spec.serviceCosts[2].address"])
        #expect(result.findings(of: .link, "many").map(\.field) == ["spec.serviceCosts"])
    }

    @Test("a Link's cost may follow the round-trip time between bounds")
    func autoCost() throws {
        func link(_ name: String, _ auto: LinkSpec.AutoCost) throws -> Link {
            Link(
                metadata: meta(name),
                spec: LinkSpec(
                    endpoints: [LinkEndpoint(host: "a", port: 1)],
                    remoteSiteID: try siteID("B"),
                    autoCost: auto
                )
            )
        }
        let result = try compiled(links: [
            link("auto", .init(fromRoundTripTime: true)),
            link("bad", .init(fromRoundTripTime: true, min: LinkCost(5), max: LinkCost(4))),
            link("off", .init(min: LinkCost(5))),
        ])
        #expect(result.configuration.links.map(\.name.text) == ["auto", "off"])
        let thousand = try #require(LinkCost(1_000))
        #expect(
            result.configuration.links.map(\.autoCost) == [
                AutoCost.Bounds(least: .standard, most: thousand), nil,
            ]
        )
        #expect(result.findings(of: .link, "bad").map(\.field) == ["spec.autoCost.min"])
    }

    @Test("a Link to the own site, and one without a usable endpoint, are left out")
    func badLinks() throws {
        let toSelf = Link(
            metadata: meta("self"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "a", port: 1)],
                remoteSiteID: try siteID("A")
            )
        )
        let bad = Link(
            metadata: meta("bad"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "a_b", port: 0)],
                remoteSiteID: try siteID("B"),
                health: HealthSettings(heartbeat: APIDuration("1ms"))
            )
        )
        let result = try compiled(links: [toSelf, bad])
        #expect(result.configuration.links.isEmpty)
        let finding = try #require(result.findings(of: .link, "self").first)
        #expect(finding.reason == .toSelf)
        #expect(finding.condition == .connected)
        #expect(
            result.findings(of: .link, "bad").map(\.field) == [
                "spec.endpoints[0].host", "spec.endpoints[0].port", "spec.health.heartbeat",
            ]
        )
    }

    @Test("what is being deleted is left out")
    func terminating() throws {
        var gone = try service("gone", age: 10, address: "backend")
        gone.metadata.deletionTimestamp = Timestamp(seconds: 1)
        let heir = try service("heir", address: "backend")
        let result = try compiled(services: [gone, heir])
        #expect(result.configuration.services.map(\.name) == ["heir"])
        #expect(result.findings.isEmpty)
    }

    @Test("the oldest Site has the namespace, then the smaller UID; one that goes has nothing")
    func sites() throws {
        let old = Site(metadata: meta("old", age: 5))
        let twin = Site(metadata: meta("twin", age: 5, uid: "aaa"))
        let young = Site(metadata: meta("young"))
        let chosen = chooseSite([young, old, twin])
        #expect(chosen.site?.metadata.name == "twin")
        #expect(chosen.findings.map(\.object.name) == ["old", "young"])
        #expect(chosen.findings.allSatisfy { $0.reason == .conflict })
        #expect(chosen.findings[0].message.contains("\"twin\""))

        var going = twin
        going.metadata.deletionTimestamp = Timestamp(seconds: 1)
        #expect(chooseSite([young, old, going]).site?.metadata.name == "old")
        #expect(chooseSite([]).site == nil)
    }

    @Test("the headless Service's name fits, is stable and different for different names")
    func endpointsServiceName() {
        let name = ChildName.endpointsService(of: "backend")
        #expect(name == "backend-tl-" + name.suffix(8))
        #expect(ChildName.endpointsService(of: "backend") == name)
        let long = String(repeating: "a", count: 63)
        let other = String(long.dropLast()) + "b"
        let names = [long, other, "9to5"].map(ChildName.endpointsService)
        #expect(names.allSatisfy { $0.utf8.count <= 63 && DNSName.isLabel($0) })
        #expect(names.allSatisfy { $0.first?.isLetter == true })
        #expect(Set(names).count == 3)
    }
}
