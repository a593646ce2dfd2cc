import Foundation
import NetworkModel
import ProxyContract
import Synchronization
import Testing

@testable import ProxyProcess

@Suite("A configuration in parts")
struct PartTests {
    private func service(_ name: String, idle: Int64 = 3_600) throws -> ServiceConfiguration {
        var service = ServiceConfiguration(
            name: name,
            address: try #require(ServiceAddress(name)),
            ports: []
        )
        service.timeouts.idle = .seconds(idle)
        return service
    }

    /// A document in `count` parts; `edited` has other time limits.
    private func document(
        _ generation: UInt64,
        services: Int = 1_000,
        parts count: Int = 16,
        edited: String? = nil
    ) throws -> ConfigurationDocument {
        var bytes = Array(repeating: Data(), count: count)
        for name in (0..<services).map({ "s\($0)" }).sorted() {
            let service = try service(name, idle: name == edited ? 7 : 3_600)
            bytes[ConfigurationPart.index(of: name, among: count)] +=
                try ConfigurationPart.line(service)
        }
        return ConfigurationDocument(
            generation: generation,
            snapshotKey: "key\(generation)",
            configuration: SiteConfiguration(site: SiteName(id: try siteID(), name: "east")),
            parts: try bytes.map { try ConfigurationPart($0) }
        )
    }

    private func bytes(_ part: ConfigurationKeeper.MissingPart, of document: ConfigurationDocument)
        throws
        -> Data
    {
        try #require(document.parts)[part.index].bytes
    }

    @Test(
        "K18: a head waits for its parts, while what was applied stays; only what changed is asked for"
    )
    func waits() throws {
        let recorder = Recorder(site: try siteID())
        let keeper = ConfigurationKeeper(dataPlane: recorder, directory: nil, logger: quiet)
        let first = try document(1)
        keeper.offer(try first.encoded(), from: .mounted)
        #expect(keeper.missing.count == 16 && keeper.generation == nil)
        for part in keeper.missing { keeper.take(try bytes(part, of: first), for: part) }
        #expect(recorder.told.withLock { $0.documents } == [first])
        #expect(keeper.missing.isEmpty && keeper.snapshotKey == "key1")

        let second = try document(2, edited: "s400")
        keeper.offer(try second.encoded(), from: .watched)
        let missing = keeper.missing
        #expect(missing.map(\.index) == [ConfigurationPart.index(of: "s400", among: 16)])
        let part = try #require(missing.first)
        // What is no such part changes nothing, and is told.
        keeper.take(try bytes(part, of: first), for: part)
        keeper.take(Data("{".utf8), for: part)
        #expect(recorder.told.withLock { $0.errors.count } == 2)
        #expect(keeper.generation == 1 && keeper.missing == missing)
        // The next head may come before the part; an older one says nothing.
        let third = try document(3, edited: "s400")
        keeper.offer(try third.encoded(), from: .watched)
        keeper.offer(try second.encoded(), from: .mounted)
        keeper.take(try bytes(part, of: second), for: part)
        #expect(recorder.told.withLock { $0.documents.map(\.generation) } == [1, 3])
        #expect(recorder.told.withLock { $0.documents.last } == third)
    }

    @Test(
        "K1: of an edit of one of 1,000 services a gateway decodes that one, and compares one part"
    )
    func cost() throws {
        let first = try document(1)
        let second = try document(2, edited: "s400")
        let index = ConfigurationPart.index(of: "s400", among: 16)
        let old = try #require(first.parts)[index]
        let new = try #require(second.parts)[index]
        #expect(old.services.count > 30 && old.decoded == old.services.count)
        #expect(try ConfigurationPart(new.bytes, last: old).decoded == 1)
        let difference = ServiceDifference(from: first, to: second)
        #expect(difference.before.map(\.name) == ["s400"])
        #expect(difference.after.map(\.name) == ["s400"])
        #expect(difference.compared == old.services.count)
        // Another number of parts changes no service.
        let other = ServiceDifference(from: first, to: try document(2, parts: 32))
        #expect(other.isEmpty && other.compared == 1_000)
        let fewer = ServiceDifference(from: first, to: try document(2, services: 999))
        #expect(fewer.before.map(\.name) == ["s999"] && fewer.after.isEmpty)
    }

    @Test("parts are kept for a restart, and an edit writes one of them")
    func kept() async throws {
        try await withDirectory { path in
            let place = "\(path)/state"
            let (first, second) = (try document(1), try document(2, edited: "s400"))
            let state = StateDirectory(place, logger: quiet)
            // What an earlier process left behind goes with the first write.
            try write("{", "\(place)/services-0-0.jsonl")
            try state.save(first)
            state.finish()
            func files() throws -> [String: Date] {
                var files: [String: Date] = [:]
                for name in try FileManager.default.contentsOfDirectory(atPath: place) {
                    let facts = try FileManager.default.attributesOfItem(atPath: "\(place)/\(name)")
                    files[name] = facts[.modificationDate] as? Date
                }
                return files
            }
            let before = try files()
            #expect(before.count == 17)
            #expect(StateDirectory(place, logger: quiet).loadConfiguration() == first)
            try state.save(second)
            state.finish()
            let after = try files()
            #expect(after.count == 17)
            #expect(after.filter { before[$0.key] != $0.value }.count == 2)

            // The process that comes back has all, and asks only for what the newer head changed.
            let again = StateDirectory(place, logger: quiet)
            let recorder = Recorder(site: try siteID())
            let keeper = ConfigurationKeeper(dataPlane: recorder, directory: again, logger: quiet)
            keeper.restore(try #require(again.loadConfiguration()))
            #expect(recorder.told.withLock { $0.documents } == [second])
            keeper.offer(try document(3, edited: "s7").encoded(), from: .mounted)
            #expect(keeper.missing.count == 2)

            // A part that is gone or torn: nothing of it is taken.
            let name = try #require(after.keys.first { $0.hasPrefix("services-") })
            try write("{", "\(place)/\(name)")
            #expect(StateDirectory(place, logger: quiet).loadConfiguration() == nil)
        }
    }

    @Test("a proxy that knows nothing of parts finds no configuration in such a head")
    func old() throws {
        struct Before: Decodable {
            var generation: UInt64
            var configuration: SiteConfiguration
        }
        let parted = try document(1).encoded()
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(Before.self, from: parted) }
        #expect(throws: ConfigurationProblem.self) { try ConfigurationDocument.decode(parted) }
        let whole = try ProxyProcessTests.document(1).encoded()
        #expect(try JSONDecoder().decode(Before.self, from: whole).generation == 1)
    }

    @Test("without an API server to ask, the parts that are missing are told")
    func alone() async throws {
        let recorder = Recorder(site: try siteID())
        let keeper = ConfigurationKeeper(dataPlane: recorder, directory: nil, logger: quiet)
        let work = Task { await PartSource(keeper: keeper, server: nil).run() }
        keeper.offer(try document(1).encoded(), from: .mounted)
        #expect(
            try await eventually {
                recorder.told.withLock {
                    $0.errors.contains { $0.contains("tieline-proxy-part-15") }
                }
            }
        )
        work.cancel()
        await work.value
    }
}
