import NetworkModel
import ProxyContract
import SiteControl
import Telemetry
import TestSupport
import Testing

@testable import Proxy

@Suite("Snapshots kept from one to the next", .timeLimit(.minutes(2)))
struct KeptSnapshotTests {
    private let traffic: TestTraffic

    init() throws { traffic = try TestTraffic() }

    @Test(
        "what is kept is what working all out anew gives, over random changes of everything",
        arguments: [UInt64.random(in: 1 ... .max)]
    )
    func histories(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let near = try TestSite("near", acceptsLinks: false)
        let far = try await Place(TestSite("far", allow: [near.id]), servers: 1, traffic: traffic)
        let gateway = try near.gateway()
        let link = try LinkConfiguration(
            patient: "far",
            to: far.site.id,
            at: far.gateway.linkEndpoint
        )
        gateway.proxy.apply(near.edit { $0.links = [link] })
        let backend = try ServiceConfiguration.backend(
            provides: false,
            listen: .init(host: "\(gateway.address)", port: 8080)
        )
        for step in 0..<40 {
            let port = Int.random(in: 0..<4, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                let some = try (0...port).map { try Self.service($0, at: gateway.address) }
                gateway.proxy.apply(near.edit { $0.services = [backend] + some })
            case 1:
                gateway.proxy.setEndpoints(service: "pods-\(port)", pods(port))
            case 2:
                let cost = try #require(LinkCost(Int32(port + 1)))
                gateway.proxy.apply(near.edit { $0.links[0].cost = cost })
            case 3:
                gateway.proxy.apply(near.edit { $0.site.name = "near-\(port)" })
            case 4:
                far.proxy.apply(far.site.edit { $0.site.name = "far-\(port)" })
            default:
                // Those that nobody takes count too.
                _ = await traffic.hold(
                    1,
                    at: Endpoint(address: gateway.address, port: UInt16(8080 + port))
                )
            }
            await gateway.proxy.waitForWholeSnapshot("step \(step)")
        }
        gateway.proxy.apply(near.edit { $0.services = [backend] })
        await gateway.proxy.wait("a target") { $0.usable == 1 && $0.services.count == 1 }
        let endpoint = Endpoint(address: gateway.address, port: 8080)
        #expect(await traffic.hold(3, at: endpoint) == ["far": 3])
        await gateway.proxy.wait("what is open") { snapshot in
            snapshot.backend.first?.connections ?? 0 >= 3
        }
        await far.proxy.stop()
        await gateway.proxy.wait("no target") { $0.services.first?.listening == false }
        await gateway.proxy.waitForWholeSnapshot("at the end")
        await gateway.proxy.stop()
        traffic.stop()
    }

    /// Some with servers from slices, some with hosts, one of them without an address; each listens.
    private static func service(_ number: Int, at address: IPAddress) throws -> ServiceConfiguration
    {
        let listen = ServicePortConfiguration.Listen(
            host: "\(address)",
            port: UInt16(8080 + number + 1)
        )
        var service = try ServiceConfiguration.backend(listen: listen)
        service.name = "service-\(number)"
        service.address = try #require(ServiceAddress("service-\(number)"))
        service.provider =
            number == 3
            ? .hosts(["no-such-name.invalid", "\(address)"])
            : .endpointSlices(service: "pods-\(number)")
        return service
    }
}

extension Proxy {
    /// Waits until what is kept for the snapshot is the whole: what just happens is known a moment later.
    func waitForWholeSnapshot(
        _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let end = ContinuousClock.now + .seconds(10)
        while true {
            let (kept, whole) = await withCheckedContinuation { continuation in
                tellControl { control in
                    let (now, wall) = (control.loop.now, Timestamp.now())
                    // Of copies: the look at all must not mend what is kept.
                    var (kept, whole) = (control.control, control.control)
                    let reports = control.services.entries.values.map { $0.shared.report() }
                    _ = whole.handle(.services(reports), at: now, wall: wall)
                    continuation.resume(
                        returning: (
                            kept.snapshot(at: now, wall: wall),
                            whole.wholeSnapshot(at: now, wall: wall)
                        )
                    )
                }
            }
            if kept == whole { return }
            guard ContinuousClock.now < end else {
                Issue.record("\(what): \(kept) is not \(whole)", sourceLocation: sourceLocation)
                return
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}
