import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

@Suite("What a site's proxies say")
struct ViewTests {
    private func sidecar(_ number: UInt64, opened: UInt64, generation: UInt64 = 5) throws
        -> SidecarSnapshot
    {
        SidecarSnapshot(
            proxy: try Samples.proxy(number),
            appliedGeneration: generation,
            counters: [ServiceCounters(service: try Samples.port(), active: 1, opened: opened)],
            failovers: [try Samples.failover(1, time: 100)]
        )
    }

    @Test("a sidecar that two gateways report counts once, by the newer report")
    func sidecars() throws {
        let view = SiteView(gateways: [
            Samples.gateway(
                "a",
                snapshot: try Samples.snapshot(1) { $0.sidecars = [try sidecar(9, opened: 3)] }
            ),
            Samples.gateway(
                "b",
                snapshot: try Samples.snapshot(2) { $0.sidecars = [try sidecar(9, opened: 4)] }
            ),
        ])
        let service = ServiceView(site: view, address: try Samples.port().address)
        #expect(service.readings == [ProxyReading(proxy: try Samples.proxy(9), opened: 4)])
        #expect(service.active == 1)
        #expect(service.failovers.count == 1)
        #expect(view.proxies.count(where: \.isSidecar) == 1)
    }

    @Test("a configuration is applied once every serving gateway and every sidecar has it")
    func applied() throws {
        var view = SiteView(gateways: [
            Samples.gateway("a", snapshot: try Samples.snapshot(1, generation: 5)),
            Samples.gateway("b", ready: false),
        ])
        #expect(view.allApplied(5))
        #expect(!view.allApplied(6))
        view.gateways[1].isReady = true
        #expect(!view.gatewaysApplied(5))
        view.gateways[1].snapshot = try Samples.snapshot(2, generation: 6)
        #expect(view.allApplied(5))
        view.gateways[1].snapshot?.sidecars = [try sidecar(9, opened: 0, generation: 4)]
        #expect(view.gatewaysApplied(5))
        #expect(!view.allApplied(5))
        #expect(!SiteView().gatewaysApplied(0))
    }

    @Test("targets of two gateways are one list, cheapest first, in the better state")
    func targets() throws {
        let port = try Samples.port()
        let view = SiteView(gateways: [
            Samples.gateway(
                "a",
                snapshot: try Samples.snapshot(1) {
                    $0.services = [
                        ServiceSnapshot(
                            service: port,
                            listening: true,
                            targets: [
                                try Samples.target("W", name: "west", cost: 20, state: .ejected),
                                try Samples.target("A", name: "east", cost: 0, connections: 14),
                            ]
                        )
                    ]
                }
            ),
            Samples.gateway(
                "b",
                snapshot: try Samples.snapshot(2) {
                    $0.services = [
                        ServiceSnapshot(
                            service: port,
                            listening: true,
                            targets: [
                                try Samples.target("W", name: "", cost: 20, connections: 2),
                                try Samples.target("A", name: "east", cost: 0, connections: 13),
                            ]
                        )
                    ]
                }
            ),
        ])
        let service = ServiceView(site: view, address: port.address)
        #expect(service.targets.map(\.view.site.displayName) == ["east", "west"])
        #expect(service.targets.map(\.view.connections) == [14, 2])
        #expect(service.targets.map(\.view.state) == [.usable, .usable])
        #expect(service.activeSites == ["east", "west"])
    }

    @Test("a link is connected when a gateway has it, and its cost applied when all agree")
    func link() throws {
        let name = try #require(LinkName("west"))
        let cost = try #require(LinkCost(20))
        func snapshot(_ number: UInt64, _ reason: LinkSnapshot.Reason, _ cost: LinkCost) throws
            -> ProxySnapshot
        {
            try Samples.snapshot(number) {
                $0.links = [
                    LinkSnapshot(name: name, reason: reason, message: "m\(number)", cost: cost)
                ]
            }
        }
        var view = SiteView(gateways: [
            Samples.gateway("a", snapshot: try snapshot(1, .unreachable, cost)),
            Samples.gateway("b", snapshot: try snapshot(2, .connected, cost)),
        ])
        var link = LinkView(site: view, name: name)
        #expect(link.reason == .connected)
        #expect(link.connected == 1)
        #expect(link.cost == cost)
        #expect(link.serviceCosts == [:])
        let address = try #require(ServiceAddress("payments"))
        view.gateways[1].snapshot?.links[0].serviceCosts = [address: cost]
        #expect(LinkView(site: view, name: name).serviceCosts == nil)
        view.gateways[0].snapshot?.links[0].serviceCosts = [address: cost]
        #expect(LinkView(site: view, name: name).serviceCosts == [address: cost])
        view.gateways[1].snapshot = try snapshot(2, .notAllowed, .standard)
        link = LinkView(site: view, name: name)
        #expect(link.reason == .notAllowed)
        #expect(link.message == "m2")
        #expect(link.cost == nil)
        #expect(link.highestCost == cost)
    }

    @Test("a gateway that serves is awaited for five seconds, until it answers")
    func awaited() throws {
        let registry = SiteRegistry()
        let pod = Core.Pod {
            $0.metadata = Samples.metadata("gw")
            $0.status.conditions = [
                Core.PodCondition {
                    $0.type = "Ready"; $0.status = "True"
                }
            ]
        }
        func isSettling(_ milliseconds: UInt64) -> Bool {
            registry.view(
                of: [pod],
                in: "shop",
                at: Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
            ).isSettling
        }
        #expect(isSettling(0))
        #expect(isSettling(4_900))
        #expect(!isSettling(5_000))
        let key = SiteRegistry.GatewayKey(pod: pod.key, uid: "uid-gw")
        #expect(registry.set(try Samples.snapshot(), of: key) == nil)
        #expect(!isSettling(5_100))
        #expect(registry.set(nil, of: key) != nil)
        #expect(isSettling(5_200))
    }

    @Test("K2: a gateway that could not be asked is awaited from when it can be")
    func awaitedOnceAsked() throws {
        let registry = SiteRegistry()
        var pod = Core.Pod { $0.metadata = Samples.metadata("gw") }
        pod.status.conditions = [Core.PodCondition { ($0.type, $0.status) = ("Ready", "True") }]
        let start = Instant(nanoseconds: 1_000_000_000_000)
        func isSettling(_ time: Duration) -> Bool {
            registry.view(of: [pod], in: "shop", at: start + time).isSettling
        }
        // The Secret with the key cannot be read.
        var record = SiteRecord(site: Samples.site())
        registry["shop"] = record
        #expect(isSettling(.zero) && !isSettling(.seconds(60)))
        try record.take(5, links: [], services: [])
        registry["shop"] = record
        #expect(isSettling(.seconds(60)) && isSettling(.seconds(64)))
        try record.take(6, links: [], services: [])
        registry["shop"] = record
        #expect(!isSettling(.seconds(65)))
    }
}

@Suite("Gateways")
struct GatewayTests {
    private let site = Samples.site()

    private func pod(_ change: (inout Core.Pod) -> Void = { _ in }) -> Core.Pod {
        var pod = Core.Pod {
            $0.metadata = ObjectMeta(
                name: "tieline-proxy-5d4f8-x",
                namespace: "shop",
                labels: Names.gatewaySelector(site),
                ownerReferences: [TestCluster.replicaSet]
            )
            $0.metadata.uid = "uid-pod"
            $0.status.phase = "Running"
            $0.status.podIP = "10.244.0.5"
            $0.status.conditions = [
                Core.PodCondition {
                    $0.type = "Ready"
                    $0.status = "True"
                }
            ]
        }
        change(&pod)
        return pod
    }

    @Test("a pod counts when our Deployment made it and it runs, not for its labels alone")
    func owned() {
        #expect(pod().isGateway(of: site))
        #expect(!pod { $0.metadata.ownerReferences = [] }.isGateway(of: site))
        #expect(!pod { $0.metadata.ownerReferences[0].name = "other-5d4f8" }.isGateway(of: site))
        #expect(!pod { $0.metadata.labels["tieline.dev/site"] = "west" }.isGateway(of: site))
        #expect(!pod { $0.status.phase = "Failed" }.isGateway(of: site))
        #expect(!pod { $0.status.phase = "Succeeded" }.isGateway(of: site))
    }

    @Test("what a gateway told is taken back once it answers no more, and no status waits for it")
    func silent() throws {
        let registry = SiteRegistry()
        let pod = pod()
        let key = SiteRegistry.GatewayKey(pod: pod.key, uid: "uid-pod")
        let now = Instant(nanoseconds: 1_000_000_000_000)
        #expect(registry.view(of: [pod], in: "shop", at: now).isSettling)
        _ = registry.set(try Samples.snapshot(), of: key)
        #expect(registry.view(of: [pod], in: "shop", at: now).gatewaysApplied(5))
        #expect(registry.drop(key) && !registry.drop(key))
        let view = registry.view(of: [pod], in: "shop", at: now)
        #expect(!view.isSettling && !view.gatewaysApplied(5))
        var facts = SiteFacts()
        facts.view = view
        facts.generation = 5
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(
            status.conditions[type: "Programmed"]?.message.contains("does not tell") == true
        )
    }
}
