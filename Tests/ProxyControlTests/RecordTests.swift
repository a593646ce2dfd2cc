import Foundation
import NetworkModel
import ProxyContract
import SiteControl
import Testing

@testable import Proxy

/// What real proxies record says the same when it is replayed.
@Suite("Recorded proxies", .timeLimit(.minutes(1)))
struct RecordTests {
    private let folder = FileManager.default.temporaryDirectory
        .appending(path: "recordings-\(UInt64.random(in: 0 ... .max))")

    @Test("a gateway with links, clients and a drain says the same to what it recorded")
    func replay() async throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let traffic = try TestTraffic()
        let main = try TestSite("main")
        let near = try await Place(
            TestSite("near", allow: [main.id]),
            servers: 1,
            traffic: traffic
        )
        let path = folder.appending(path: "main.jsonl").path()
        let client = try await Place(
            main,
            servers: 1,
            traffic: traffic,
            listens: true,
            record: path
        )
        try client.link(to: near, cost: 1)
        await client.waitForTargets(2)
        let held = await traffic.hold(6, at: client.listen)
        #expect(held.values.reduce(0, +) == 6)
        await near.proxy.stop()
        await client.proxy.wait("lost") { $0.target(near.site)?.state != .usable }
        await client.proxy.drain()
        traffic.stop()

        let bytes = try Data(contentsOf: URL(filePath: path))
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let steps = try Recording.read(bytes).steps
        #expect(steps.count > 30)
        #expect(try Recording.firstDifference(in: bytes) == nil)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains("PRIVATE KEY"))
    }
}
