import Certificates
import Foundation
import KubernetesAPI
import ManifestReading
import NetworkAPI
import NetworkModel
import ProxyContract
import SiteFolder
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
            let directory = SiteState(path: path)
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

    private static let service = """
        apiVersion: tieline.dev/v1alpha1
        kind: Service
        metadata: {name: NAME}
        spec:
          ports: [{name: tcp, port: 8080, targetPort: 8080}]
          hosts: [127.0.0.1]

        """

    @Test("P5: a file that is being written says nothing, also when another one changes")
    func halfWritten() async throws {
        try await withDirectory { path in
            let (applier, _, _) = try make(path)
            let both = ["one", "two"].map { Self.service.replacing("NAME", with: $0) }
            try write(Self.site, "\(path)/site.yaml")
            try write(both.joined(separator: "---\n"), "\(path)/services.yaml")
            try write(Self.link(cost: "5"), "\(path)/link.yaml")
            applier.readAgain()
            #expect(applier.state.configuration?.services.count == 2)

            // Its first half is a good manifest by itself.
            let writer = try FileHandle(forWritingTo: URL(filePath: "\(path)/services.yaml"))
            try writer.truncate(atOffset: 0)
            try writer.write(contentsOf: Data(both[0].utf8))
            try write(Self.link(cost: "7"), "\(path)/link.yaml")
            applier.readAgain()
            #expect(applier.state.configuration?.services.count == 2)
            #expect(applier.state.isUnfinished)
            #expect(
                applier.state.problem(of: .service, "two")?.message.contains("being written")
                    == true
            )
            #expect(applier.state.problem(of: .link, "west") == nil)

            try writer.write(contentsOf: Data("---\n\(both[1])".utf8))
            try writer.close()
            applier.readAgain()
            #expect(applier.state.problems.isEmpty)
            #expect(!applier.state.isUnfinished)
            #expect(applier.state.configuration?.services.count == 2)
            #expect(applier.state.configuration?.links.first?.cost.value == 7)
        }
    }

    @Test(
        "B4: a file that held objects and is empty or unreadable deletes nothing; its removal does"
    )
    func emptied() async throws {
        try await withDirectory { path in
            let (applier, _, _) = try make(path)
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "5"), "\(path)/link.yaml")
            applier.readAgain()
            for text in ["", "# nothing yet\n", "---\n---\n"] {
                try write(text, "\(path)/link.yaml")
                applier.readAgain()
                #expect(applier.state.configuration?.links.count == 1, "\(text)")
                #expect(applier.state.problem(of: .link, "west")?.message.contains("empty") == true)
            }
            try FileManager.default.removeItem(atPath: "\(path)/link.yaml")
            try FileManager.default.createDirectory(
                atPath: "\(path)/link.yaml",
                withIntermediateDirectories: false
            )
            applier.readAgain()
            #expect(applier.state.configuration?.links.count == 1)
            #expect(
                applier.state.problems.map(\.description)
                    == ["\(path)/link.yaml is a folder, not a file"]
            )
            try FileManager.default.removeItem(atPath: "\(path)/link.yaml")
            applier.readAgain()
            #expect(applier.state.configuration?.links.isEmpty == true)
            #expect(applier.state.problems.isEmpty)
        }
    }

    @Test("P5: the files that were good last are kept for a restart that finds them broken")
    func lastGood() async throws {
        try await withDirectory { path in
            let directory = SiteDirectory(path: path, bind: nil)
            let state = SiteState(path: path)
            let applier = SiteApplier(
                directory: directory,
                keeper: state,
                siteID: try siteID(),
                snapshotKey: "key",
                dataPlane: Recorder(site: try siteID()),
                logger: quiet
            )
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "5"), "\(path)/link.yaml")
            applier.readAgain()
            try write("", "\(path)/link.yaml")
            let texts = try #require(state.lastGoodTexts())
            let reading = directory.read(siteID: try siteID(), held: Set(texts.keys))
            #expect(reading.configuration == nil)
            #expect(reading.problems.first?.message.contains("empty") == true)
            let last = directory.read(texts: texts, siteID: try siteID())
            #expect(last.configuration?.links.first?.cost.value == 5)
        }
    }

    @Test("P12: the state is found where it is, and another identity needs a word")
    func stateFolder() async throws {
        try await withDirectory { path in
            let (manifests, other) = ("\(path)/manifests", "\(path)/state")
            for folder in [manifests, other] { try Files.makeDirectory(folder, mode: 0o755) }
            func state(_ told: String?, _ systemd: String? = nil) throws -> SiteState {
                try SiteState(
                    told: told,
                    manifests: manifests,
                    environment: systemd.map { ["STATE_DIRECTORY": $0] } ?? [:]
                )
            }
            #expect(try state(nil).path == manifests)
            #expect(try state(nil, other).path == other)
            #expect(try state("\(other)/", "/x").path == other)
            let made = try state(other).authority(now: Date()).siteID
            // The manifests may be swapped as a whole: the identity is elsewhere.
            try FileManager.default.removeItem(atPath: manifests)
            try Files.makeDirectory(manifests, mode: 0o755)
            #expect(try state(other).authority(now: Date()).siteID == made)

            // An identity that is lost is not made anew by itself.
            try FileManager.default.moveItem(atPath: "\(other)/identity", toPath: "\(path)/kept")
            #expect(throws: FileProblem.self) { try state(other).authority(now: Date()) }
            let new = try state(other).authority(now: Date(), renew: true).siteID
            #expect(new != made)
            // Neither is one that somebody put there.
            try FileManager.default.removeItem(atPath: "\(other)/identity")
            try FileManager.default.copyItem(atPath: "\(path)/kept", toPath: "\(other)/identity")
            #expect(throws: FileProblem.self) { try state(other).authority(now: Date()) }
            #expect(try state(other).authority(now: Date(), renew: true).siteID == made)

            // One that is in the manifest folder is not left behind.
            try FileManager.default.moveItem(
                atPath: "\(other)/identity",
                toPath: "\(manifests)/identity"
            )
            #expect(try state(nil).path == manifests)
            #expect(throws: FileProblem.self) { try state(other) }
        }
    }

    @Test("P4: the state belongs to one process; P13: what a failed start left is removed")
    func lock() async throws {
        try await withDirectory { path in
            try Files.makeDirectory("\(path)/.identity.tmp-99", mode: 0o700)
            try write("x", "\(path)/.identity.tmp-99/tls.key")
            try SiteState(path: path).lock()
            #expect(!Files.exists("\(path)/.identity.tmp-99"))
            // flock is per open file: a second one in this process is as another process's.
            #expect(throws: FileProblem.self) { try SiteState(path: path).lock() }
        }
    }

    @Test("statuses are written in the API's form and go on counting after a restart")
    func statuses() async throws {
        try await withDirectory { path in
            let (applier, recorder, _) = try make(path)
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
                    state: SiteState(path: path),
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
