import KubernetesAPI
import NetworkAPI
import NetworkModel
import Proxy
import ProxyContract
import StatusSummaries
import Telemetry
import Testing

@testable import ProxyProcess

@Suite("Statuses of a plain site")
struct PlainStatusTests {
    private let siteID: SiteID
    private let remote: SiteID
    private let port: ServicePort
    private let proxy: ProxyID

    init() throws {
        siteID = try #require(SiteID(String(repeating: "A", count: SiteID.length)))
        remote = try #require(SiteID(String(repeating: "B", count: SiteID.length)))
        port = try #require(ServicePort("backend/http"))
        proxy = ProxyID(site: siteID, instance: 7)
    }

    private func plain(
        _ change: (inout ProxySnapshot) -> Void = { _ in }
    ) -> PlainStatus {
        var state = SiteApplier.State()
        state.generation = 3
        var snapshot = ProxySnapshot(proxy: proxy)
        snapshot.appliedGeneration = 3
        change(&snapshot)
        return PlainStatus(
            state: state,
            snapshot: snapshot,
            isReady: true,
            siteID: siteID,
            now: Timestamp(seconds: 1_800_000_000)
        )
    }

    private func failover(_ sequence: UInt64, _ reason: String, at time: Double) -> FailoverSnapshot
    {
        FailoverSnapshot(
            sequence: sequence,
            service: port,
            from: SiteName(id: remote, name: "west"),
            to: SiteName(id: siteID, name: "east"),
            reason: reason,
            time: Timestamp(microseconds: Int64(time * 1_000_000)),
            lost: 1,
            resumed: 0,
            durationMilliseconds: 5
        )
    }

    @Test("a failback is no failover, and none is counted twice")
    func failovers() throws {
        var service = Service(
            metadata: ObjectMeta(name: "backend"),
            spec: ServiceSpec(ports: [.init(name: port.port, port: 80)])
        )
        var ledger = FailoverLedger()
        let now = plain {
            $0.failovers = [
                failover(1, "LinkLost", at: 100), failover(2, "Failback", at: 200),
                failover(3, "LinkLost", at: 300),
            ]
        }
        for _ in 0..<2 {
            service.status = now.service(service, ledger: &ledger)
            #expect(service.status.failovers == 2)
            #expect(service.status.lastFailover?.time == Timestamp(seconds: 300))
        }
    }

    @Test("a site that only dials is Ready without being reachable")
    func dialsOnly() {
        var site = Site(metadata: ObjectMeta(name: "plain"))
        let status = plain().site(site, links: [], services: [])
        #expect(status.conditions[type: "Reachable"]?.status == .no)
        #expect(status.conditions[type: "Reachable"]?.reason == "DialsOnly")
        #expect(status.conditions.isTrue("Ready"))
        #expect(status.proxies == SiteStatus.Proxies(desired: 1, ready: 1, sidecars: 0))
        site.spec.linkAccess = LinkAccess(type: .external, hosts: ["plain.example.com"])
        let open = plain().site(site, links: [], services: [])
        #expect(open.endpoints == [LinkEndpoint(host: "plain.example.com", port: 5671)])
        #expect(open.conditions.isTrue("Reachable"))
    }

    @Test("a target that no path leads to has no cost in the metrics")
    func noPath() {
        var snapshot = ProxySnapshot(proxy: proxy)
        snapshot.services = [
            ServiceSnapshot(
                service: port,
                listening: false,
                targets: [(siteID, PathCost(20) as PathCost?), (remote, nil)].map { site, cost in
                    .init(
                        site: SiteName(id: site),
                        pathCost: cost,
                        endpoints: 1,
                        connections: 0,
                        state: cost == nil ? .unreachable : .usable,
                        via: "link/west"
                    )
                }
            )
        ]
        let registry = MetricsRegistry()
        registry.addCollector { [snapshot] in
            $0.add(snapshot, isReady: true, certificates: nil)
        }
        let costs = registry.text().split(separator: "\n").filter {
            $0.hasPrefix("tieline_service_path_cost{")
        }
        #expect(costs.count == 1)
        #expect(costs.first?.hasSuffix(" 20") == true)
    }

    @Test("what is measured is written with the names that sites give themselves")
    func meters() throws {
        var snapshot = ProxySnapshot(proxy: proxy)
        snapshot.services = [
            ServiceSnapshot(
                service: port,
                listening: true,
                targets: [
                    .init(
                        site: SiteName(id: remote, name: "west"),
                        pathCost: PathCost(1),
                        endpoints: 1,
                        connections: 0,
                        state: .usable,
                        via: "link/west"
                    )
                ]
            )
        ]
        var meters = ProxyMeters()
        var meter = TargetMeter()
        meter.toServers = 10
        meter.toClients = 20
        (meter.resumed, meter.lost) = (3, 4)
        meter.failovers = [.init(from: siteID, reason: .linkLost): 2]
        meters.services = [port: [remote: meter]]
        meters.loops = [LoopMeter(), LoopMeter()]
        meters.loops[1].held = HeldBytes(rings: 5, relays: 6)
        for name in [LinkName("w"), nil] {
            var link = LinkMeter(LinkMeter.Link(remote: remote, name: name))
            link.lanes = 2
            link.bulkLanes = 3
            link.sentBytes = 7
            meters.links.append(link)
        }
        let registry = MetricsRegistry()
        registry.addCollector { [snapshot, meters] in $0.add(meters, names: snapshot.siteNames) }
        let lines = Set(registry.text().split(separator: "\n").map(String.init))
        let site = "remote_site=\"west\",remote_site_id=\"\(remote)\""
        let service = "port=\"\(port.port)\",\(site),service=\"\(port.address)\""
        for line in [
            "tieline_bytes_total{direction=\"to_server\",\(service)} 10",
            "tieline_bytes_total{direction=\"to_client\",\(service)} 20",
            "tieline_streams_resumed_total{\(service)} 3",
            "tieline_streams_lost_total{\(service)} 4",
            "tieline_failovers_total{from=\"\(siteID)\",port=\"\(port.port)\",reason=\"LinkLost\","
                + "service=\"\(port.address)\",to=\"west\"} 2",
            "tieline_connect_duration_seconds_count{\(service)} 0",
            "tieline_time_to_first_byte_seconds_bucket{\(service),le=\"0.001\"} 0",
            "tieline_link_lanes{link=\"w\",\(site)} 2",
            "tieline_link_bulk_lanes{link=\"w\",\(site)} 3",
            "tieline_link_bytes_total{direction=\"sent\",link=\"from/west\",\(site)} 7",
            "tieline_loop_lag_seconds_count{loop=\"1\"} 0",
            "tieline_buffered_bytes{kind=\"streams\"} 5",
            "tieline_buffered_bytes{kind=\"relays\"} 6",
        ] { #expect(lines.contains(line), "\(line)") }
    }

    @Test(
        "a link that another site refuses is Ready all the same, and one pinned to the wrong site is Stalled"
    )
    func links() throws {
        let link = Link(
            metadata: ObjectMeta(name: "west"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "west.example.com", port: 5671)],
                remoteSiteID: remote
            )
        )
        func status(_ reason: LinkSnapshot.Reason) throws -> LinkStatus {
            let name = try #require(LinkName("west"))
            return plain {
                var seen = LinkSnapshot(name: name, reason: reason, message: "m", cost: .standard)
                seen.roundTripMicroseconds = 1400
                $0.links = [seen]
            }.link(link)
        }
        let connected = try status(.connected)
        #expect(connected.conditions.isTrue("Ready"))
        #expect(connected.appliedCost == .standard)
        #expect(connected.roundTripTime?.text == "1.4ms")
        #expect(try status(.siteIDMismatch).conditions.isTrue("Stalled"))
        #expect(try status(.notAllowed).conditions.isTrue("Ready"))
        #expect(try !status(.notAllowed).conditions.isTrue("Connected"))
        #expect(try !status(.unreachable).conditions.isTrue("Stalled"))
    }
}
