import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import ProxyContract
import Telemetry
import Testing

@testable import Controller

extension OnServer {
    @Suite("What gateways tell", .timeLimit(.minutes(3)))
    struct ObservationIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        private var client: KubernetesClient { cluster.client }

        /// A Site with gateways that tell what a test lets them tell.
        private func withGateways(
            _ count: Int,
            _ body: (_ namespace: String, _ lease: String, _ gateways: [FakeGateway]) async throws
                ->
                Void
        ) async throws {
            try await cluster.withNamespaces(["observe", "lease"]) { names in
                let namespace = names[0]
                var site: Site?
                var siteID: SiteID?
                try await cluster.withController(in: names[1]) {
                    let made = try await cluster.makeSite(in: namespace)
                    siteID = try await eventually("an identity") {
                        try await client.get(Site.self, made.key).status.siteID
                    }
                    site = made
                }
                let owner = try #require(site)
                let id = try #require(siteID)
                let gateways = (1...count).map { FakeGateway($0, site: id, name: "gw-\($0)") }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for gateway in gateways {
                        group.addTask { [cluster] in
                            try await gateway.run(in: cluster, namespace: namespace, site: owner)
                        }
                    }
                    defer { group.cancelAll() }
                    try await body(namespace, names[1], gateways)
                }
            }
        }

        /// What a gateway tells that has applied the newest configuration.
        private func follow(_ gateways: [FakeGateway], _ namespace: String) async throws {
            let generation = try await cluster.document(namespace)?.generation ?? 0
            for gateway in gateways { gateway.change { $0.appliedGeneration = generation } }
        }

        @Test("a Link's status follows its gateways: connected, applied cost, lost; one Event each")
        func link() async throws {
            try await withGateways(1) { namespace, lease, gateways in
                let gateway = gateways[0]
                let remote = try #require(SiteID(String(repeating: "W", count: SiteID.length)))
                let name = try #require(LinkName("west"))
                try await cluster.withController(in: lease) {
                    let link = try await client.create(
                        Link(
                            metadata: ObjectMeta(name: "west", namespace: namespace),
                            spec: LinkSpec(
                                endpoints: [LinkEndpoint(host: "192.0.2.1", port: 5671)],
                                remoteSiteID: remote,
                                cost: LinkCost(20)
                            )
                        )
                    )
                    func status() async throws -> LinkStatus {
                        try await client.get(Link.self, link.key).status
                    }
                    _ = try await eventually("the link is in the configuration") {
                        (try await cluster.document(namespace)?.configuration.links.count == 1)
                            .orNil
                    }
                    func tell(_ reason: LinkSnapshot.Reason, _ cost: Int32, active: UInt64 = 0) {
                        gateway.change { snapshot in
                            var told = LinkSnapshot(
                                name: name,
                                reason: reason,
                                message: "",
                                cost: LinkCost(cost) ?? .standard
                            )
                            told.remote = SiteName(id: remote, name: "west")
                            told.active = active
                            told.opened = active
                            told.roundTripMicroseconds = 1_410
                            snapshot.links = [told]
                        }
                    }
                    tell(.notAllowed, 20)
                    try await follow(gateways, namespace)
                    let refused = try await eventually("NotAllowed is told") {
                        let status = try await status()
                        let connected = status.conditions[type: "Connected"]
                        return connected?.reason == "NotAllowed" ? connected : nil
                    }
                    #expect(
                        refused.message.contains("- {siteID: \(gateway.proxy.site), name: east}")
                    )
                    tell(.connected, 20, active: 37)
                    try await follow(gateways, namespace)
                    let up = try await eventually("connected, with its cost") {
                        let status = try await status()
                        return status.appliedCost == LinkCost(20)
                            && status.connections?.active == 37
                            ? status : nil
                    }
                    #expect(up.conditions.isTrue("Ready"))
                    #expect(up.remoteSite?.name == "west")
                    #expect(
                        up.roundTripTime?.text == "1.4ms"
                    )
                    _ = try await client.patch(Link.self, link.key, .merge(["spec": ["cost": 30]]))
                    _ = try await eventually("the new cost is in the configuration") {
                        (try await cluster.document(namespace)?.configuration.links.first?.cost
                            == LinkCost(30)).orNil
                    }
                    #expect(try await status().appliedCost == LinkCost(20))
                    tell(.connected, 30, active: 37)
                    try await follow(gateways, namespace)
                    _ = try await eventually("the new cost is applied") {
                        (try await status().appliedCost == LinkCost(30)).orNil
                    }
                    gateway.change { snapshot in
                        snapshot.links[0].reason = .unreachable
                        snapshot.links[0].message = "192.0.2.1:5671: timed out"
                        snapshot.links[0].losses = 1
                        snapshot.links[0].lastLoss = LinkLoss(
                            time: .now(),
                            reason: "HeartbeatLost",
                            connections: 37
                        )
                    }
                    let down = try await eventually("the loss is told") {
                        let status = try await status()
                        return status.failovers == 1 ? status : nil
                    }
                    #expect(down.conditions[type: "Connected"]?.reason == "Unreachable")
                    #expect(down.conditions.isTrue("Ready"))
                    #expect(down.lastFailover?.connections == 37)
                    for reason in [EventReason.linkConnected, .linkLost] {
                        _ = try await eventually("an Event \(reason)") {
                            (try await cluster.events(namespace, reason).count == 1).orNil
                        }
                    }
                    let key = try #require(try await cluster.document(namespace)?.snapshotKey)
                    #expect(gateway.askedWith.contains(key))
                }
            }
        }

        @Test("K13: an edit while no controller runs takes Ready from nothing else")
        func editWithoutController() async throws {
            try await withGateways(1) { namespace, lease, gateways in
                let link = try await client.create(
                    Link(
                        metadata: ObjectMeta(name: "west", namespace: namespace),
                        spec: LinkSpec(
                            endpoints: [LinkEndpoint(host: "192.0.2.1", port: 5671)],
                            remoteSiteID: try #require(
                                SiteID(String(repeating: "W", count: SiteID.length))
                            )
                        )
                    )
                )
                let name = try #require(LinkName("west"))
                func ready() async throws -> Condition? {
                    condition(try await client.get(Link.self, link.key), .ready)
                }
                var before: Condition?
                try await cluster.withController(in: lease) {
                    _ = try await eventually("the Link is in the configuration") {
                        (try await cluster.document(namespace)?.configuration.links.count == 1)
                            .orNil
                    }
                    gateways[0].change { snapshot in
                        snapshot.links = [
                            LinkSnapshot(
                                name: name,
                                reason: .unreachable,
                                message: "",
                                cost: .standard
                            )
                        ]
                    }
                    try await follow(gateways, namespace)
                    before = try await eventually("the Link is Ready") {
                        try await ready().flatMap { $0.status == .yes ? $0 : nil }
                    }
                }
                let service = try await cluster.makeService(in: namespace) { spec in
                    spec.selector = ["app": "backend"]
                }
                // The gateway does not take up what the next controller tells it.
                try await cluster.withController(in: lease) {
                    _ = try await eventually("the Service has a verdict") {
                        let found = try await client.get(Service.self, service.key)
                        return (found.status.observedGeneration != nil).orNil
                    }
                    let versions = try await whenQuiet { try await cluster.versions([namespace]) }
                    #expect(!versions.isEmpty)
                    #expect(
                        try await cluster.document(namespace)?.configuration.services.count == 1
                    )
                    #expect(try await ready() == before)
                }
            }
        }

        @Test("a failover that two gateways saw is one count and one Event, also across a restart")
        func failover() async throws {
            try await withGateways(2) { namespace, lease, gateways in
                let port = try #require(ServicePort("backend/http"))
                let now = Timestamp.now()
                func record(_ sequence: UInt64, at time: Timestamp, lost: UInt32)
                    -> FailoverSnapshot
                {
                    FailoverSnapshot(
                        sequence: sequence,
                        service: port,
                        from: SiteName(id: gateways[0].proxy.site, name: "west"),
                        to: SiteName(id: gateways[0].proxy.site, name: "east"),
                        reason: "LinkLost",
                        time: time,
                        lost: lost,
                        resumed: 0,
                        durationMilliseconds: 740
                    )
                }
                let key = ObjectKey(namespace: namespace, name: "backend")
                func status() async throws -> ServiceStatus {
                    try await client.get(Service.self, key).status
                }
                try await cluster.withController(in: lease) {
                    _ = try await cluster.makeService(in: namespace)
                    _ = try await eventually("the Service is known") {
                        (try await cluster.document(namespace)?.configuration.services.count == 1)
                            .orNil
                    }
                    try await follow(gateways, namespace)
                    gateways[0].change { $0.failovers = [record(1, at: now, lost: 2)] }
                    let first = try await eventually("the failover is told", within: .seconds(5)) {
                        let status = try await status()
                        return status.failovers == 1 ? status : nil
                    }
                    #expect(first.lastFailover?.from == "west")
                }
                gateways[1].change { $0.failovers = [record(1, at: now + .seconds(2), lost: 3)] }
                try await cluster.withController(in: lease) {
                    let merged = try await eventually("the other gateway's record is merged") {
                        let status = try await status()
                        return status.lastFailover?.lost == 5 ? status : nil
                    }
                    #expect(merged.failovers == 1)
                    gateways[0].change {
                        $0.failovers.append(record(2, at: now + .seconds(20), lost: 0))
                    }
                    _ = try await eventually("a later one counts anew") {
                        (try await status().failovers == 2).orNil
                    }
                    let events = try await eventually("two Events") {
                        let events = try await cluster.events(namespace, .failedOver)
                        return events.count == 2 ? events : nil
                    }
                    #expect(
                        events.allSatisfy { $0.note?.contains("west to east, LinkLost") == true }
                    )
                }
            }
        }

        @Test(
            "counts reach status after quiescence, from gateways and sidecars; then nothing is written"
        )
        func counts() async throws {
            try await withGateways(2) { namespace, lease, gateways in
                let port = try #require(ServicePort("backend/http"))
                let sidecar = ProxyID(site: gateways[0].proxy.site, instance: 77)
                let key = ObjectKey(namespace: namespace, name: "backend")
                func opened() async throws -> ServiceStatus.Connections? {
                    try await client.get(Service.self, key).status.connections
                }
                try await cluster.withController(in: lease) {
                    _ = try await cluster.makeService(in: namespace)
                    _ = try await eventually("the Service is known") {
                        (try await cluster.document(namespace)?.configuration.services.count == 1)
                            .orNil
                    }
                    try await follow(gateways, namespace)
                    for count in 1...100 as ClosedRange<UInt64> {
                        for gateway in gateways {
                            gateway.change { snapshot in
                                snapshot.counters = [
                                    ServiceCounters(service: port, active: count, opened: count)
                                ]
                                snapshot.sidecars = [
                                    SidecarSnapshot(
                                        proxy: sidecar,
                                        appliedGeneration: snapshot.appliedGeneration,
                                        counters: [
                                            ServiceCounters(service: port, active: 5, opened: count)
                                        ],
                                        failovers: []
                                    )
                                ]
                            }
                        }
                        // The load: 100 changes a second.
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    _ = try await eventually(
                        "all are counted, the sidecar once",
                        within: .seconds(5)
                    ) {
                        (try await opened() == .init(active: 205, opened: 300)).orNil
                    }
                    let site = ObjectKey(namespace: namespace, name: "east")
                    _ = try await eventually("the Site counts them too, and the sidecar once") {
                        let status = try await client.get(Site.self, site).status
                        return (status.connections?.opened == 300 && status.proxies?.sidecars == 1)
                            .orNil
                    }
                    _ = try await whenQuiet(for: .seconds(2)) {
                        try await cluster.versions([namespace])
                    }
                }
                let before = try await cluster.versions([namespace])
                // Restarted, it writes nothing while nothing changes, and counts nothing again.
                let asked = gateways.map(\.timesAsked)
                try await cluster.withController(in: lease) {
                    _ = try await eventually("both gateways have answered twice") {
                        zip(gateways, asked).allSatisfy { $0.timesAsked >= $1 + 2 }.orNil
                    }
                    let same = try await cluster.versions([namespace])
                    #expect(same == before)
                    gateways[0].change { $0.counters[0].opened += 1 }
                    _ = try await eventually("one more") {
                        (try await opened()?.opened == 301).orNil
                    }
                }
            }
        }

        @Test("a site that is refused is named in one Event of the Site, with the line to add")
        func refused() async throws {
            try await withGateways(1) { namespace, lease, gateways in
                let stranger = try #require(SiteID(String(repeating: "N", count: SiteID.length)))
                try await cluster.withController(in: lease) {
                    for attempt in 1...3 as ClosedRange<UInt64> {
                        gateways[0].change {
                            $0.refused = [
                                RefusedLink(
                                    site: SiteName(id: stranger, name: "north"),
                                    reason: .notAllowed,
                                    time: .now(),
                                    attempts: attempt
                                )
                            ]
                        }
                        let events = try await eventually("the Event") {
                            let events = try await cluster.events(namespace, .notAllowed)
                            return events.isEmpty ? nil : events
                        }
                        #expect(events.count == 1)
                        #expect(
                            events[0].note?.contains("- {siteID: \(stranger), name: north}") == true
                        )
                    }
                }
            }
        }
    }
}
