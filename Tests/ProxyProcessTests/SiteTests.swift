import Certificates
import Foundation
import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration
import Synchronization
import Testing

@testable import ProxyProcess

@Suite("Plain site")
struct SiteTests {
    private static let site = """
        apiVersion: tieline.dev/v1alpha1
        kind: Site
        metadata: {name: plain}
        """

    private static func link(cost: String) -> String {
        """
        apiVersion: tieline.dev/v1alpha1
        kind: Link
        metadata: {name: west}
        spec:
          endpoints: [{host: west.example.com, port: 5671}]
          remoteSiteID: BBBBBBBBBBBBBBBBBBBBBBBBBB
          cost: \(cost)
        """
    }

    private func make(
        _ path: String
    ) throws -> (applier: SiteApplier, recorder: Recorder, directory: SiteDirectory) {
        let directory = SiteDirectory(path: path, bind: "127.0.0.9")
        let recorder = Recorder(site: try siteID())
        let applier = SiteApplier(
            directory: directory,
            siteID: try siteID(),
            snapshotKey: "key",
            dataPlane: recorder,
            logger: quiet
        )
        return (applier, recorder, directory)
    }

    @Test("files are applied whole: good, broken, repaired, cost changed")
    func lifeCycle() async throws {
        try await withDirectory { path in
            let (applier, recorder, _) = try make(path)
            func generations() -> [UInt64] {
                recorder.told.withLock { $0.documents.map(\.generation) }
            }
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "5"), "\(path)/link.yaml")
            applier.readAgain()
            #expect(generations() == [1])
            #expect(applier.state.configuration?.links.first?.cost.value == 5)
            // Nothing changed: nothing is applied.
            applier.readAgain()
            #expect(generations() == [1])

            try write(Self.link(cost: "[5"), "\(path)/link.yaml")
            try write(Self.site.replacing("plain", with: "other"), "\(path)/site.yaml")
            applier.readAgain()
            #expect(generations() == [1])
            #expect(applier.state.configuration?.links.first?.cost.value == 5)
            let problem = try #require(applier.state.problems.first)
            #expect(problem.file == "\(path)/link.yaml")
            #expect(problem.line == 8)
            #expect(recorder.told.withLock { $0.errors.count } == 1)

            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "7"), "\(path)/link.yaml")
            applier.readAgain()
            #expect(generations() == [1, 2])
            #expect(applier.state.problems.isEmpty)
            #expect(applier.state.configuration?.links.first?.cost.value == 7)
        }
    }

    @Test("a finding of the compile step refuses the change as a whole, with its line")
    func finding() async throws {
        try await withDirectory { path in
            let (applier, recorder, _) = try make(path)
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "0"), "\(path)/link.yaml")
            try write("not: ours", "\(path)/notes.txt")
            applier.readAgain()
            #expect(recorder.told.withLock { $0.documents.isEmpty })
            let problem = try #require(applier.state.problems.first)
            #expect(problem.line == 7)
            #expect(problem.field == "spec.cost")
        }
    }

    @Test("the port for links does not move while the proxy runs")
    func movedPort() async throws {
        try await withDirectory { path in
            let (applier, recorder, _) = try make(path)
            try write(
                Self.site + "\nspec: {linkAccess: {type: ClusterIP, port: 9000}}",
                "\(path)/site.yaml"
            )
            applier.readAgain()
            #expect(recorder.told.withLock { $0.documents.isEmpty })
            #expect(applier.state.problems.first?.line == 4)
        }
    }

    @Test("a directory without a Site says so")
    func noSite() async throws {
        try await withDirectory { path in
            let reading = SiteDirectory(path: path, bind: nil).read(siteID: try siteID())
            #expect(reading.configuration == nil)
            #expect(reading.problems.first?.message.contains("there is no Site") == true)
        }
    }

    @Test("the identity is made once, private, and never replaced")
    func identity() async throws {
        try await withDirectory { path in
            let directory = SiteDirectory(path: path, bind: nil)
            let made = try directory.authority(now: Date())
            #expect(try directory.authority(now: Date()).siteID == made.siteID)
            #expect(try mode(of: "\(path)/identity/tls.key") == 0o600)
            #expect(try mode(of: "\(path)/identity") == 0o700)
            let key = try directory.snapshotKey()
            #expect(key.count > 40)
            #expect(try directory.snapshotKey() == key)
            try FileManager.default.removeItem(atPath: "\(path)/identity/tls.crt")
            #expect(throws: FileProblem.self) { try directory.authority(now: Date()) }
            #expect(FileManager.default.fileExists(atPath: "\(path)/identity/tls.key"))
        }
    }

    @Test("statuses are written in the API's form and go on counting after a restart")
    func statuses() async throws {
        try await withDirectory { path in
            let (applier, recorder, directory) = try make(path)
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "5"), "\(path)/link.yaml")
            applier.readAgain()
            let west = try #require(LinkName("west"))
            let cost = try #require(LinkCost(5))
            recorder.told.withLock { told in
                var link = LinkSnapshot(name: west, reason: .connected, message: "", cost: cost)
                link.opened = 4
                link.active = 2
                told.snapshot.links = [link]
                told.snapshot.version += 1
            }
            func status() throws -> LinkStatus? {
                guard let data = try Files.read("\(path)/status/link-west.json") else { return nil }
                return try JSONDecoder().decode(Link.self, from: data).status
            }
            func run(until condition: () throws -> Bool) async throws {
                let writer = SiteStatusWriter(
                    directory: directory,
                    siteID: try siteID(),
                    logger: quiet
                )
                let task = Task { await writer.follow(recorder, applier) }
                #expect(try await eventually(condition))
                task.cancel()
                await task.value
            }
            try await run { try status()?.connections?.opened == 4 }
            #expect(try status()?.appliedCost?.value == 5)
            #expect(try status()?.conditions.isTrue("Ready") == true)
            // A new process counts from what was written.
            recorder.told.withLock { told in
                told.snapshot.links[0].opened = 1
                told.snapshot.version += 1
            }
            try await run { try status()?.connections?.opened == 5 }

            // A broken file shows in the Site's status; a removed Link's file goes.
            try write("kind: [", "\(path)/broken.yaml")
            applier.readAgain()
            try await run {
                try Files.read("\(path)/status/site-plain.json").map {
                    String(decoding: $0, as: UTF8.self).contains("broken.yaml:2")
                } ?? false
            }
            try FileManager.default.removeItem(atPath: "\(path)/broken.yaml")
            try FileManager.default.removeItem(atPath: "\(path)/link.yaml")
            applier.readAgain()
            try await run { try status() == nil }
        }
    }
}
