import Foundation
import Glibc
import NetworkModel
import Proxy
import ProxyContract
import SiteControl
import SiteFolder
import Synchronization
import TestSupport
import Testing

@testable import ProxyProcess

@Suite("State of a gateway")
struct StateTests {
    @Test("the highest generation wins, whoever brings it; an older one is never applied")
    func generations() async throws {
        try await withDirectory { path in
            let recorder = Recorder(site: try siteID())
            let state = StateDirectory("\(path)/state", logger: quiet)
            let keeper = ConfigurationKeeper(dataPlane: recorder, directory: state, logger: quiet)
            #expect(keeper.snapshotKey == "")
            keeper.restore(try document(5))
            keeper.offer(try document(4).encoded(), from: .mounted)
            keeper.offer(try document(5).encoded(), from: .mounted)
            keeper.offer(try document(7).encoded(), from: .watched)
            keeper.offer(try document(6).encoded(), from: .mounted)
            #expect(recorder.told.withLock { $0.documents.map(\.generation) } == [5, 7])
            #expect(keeper.snapshotKey == "key7")
            state.finish()
            #expect(state.loadConfiguration() == (try document(7)))
        }
    }

    private func proxyID(_ instance: UInt64) throws -> ProxyID {
        ProxyID(site: try siteID(), instance: instance)
    }

    @Test("a proxy knows which instances have run before it in its folder, as many as may matter")
    func instances() async throws {
        try await withDirectory { path in
            #expect(try FolderLock.take(path, mode: 0o700))
            let record = InstanceRecord(folder: path, logger: quiet)
            let ids = try (1...7).map(proxyID)
            #expect(record.begin(ids[0]) == [])
            #expect(record.begin(ids[1]) == [ids[0]])
            for id in ids[2..<6] { _ = record.begin(id) }
            #expect(record.begin(ids[6]) == [ids[5], ids[4], ids[3], ids[2]])
            // Those of another site are nobody's to speak for.
            let other = ProxyID(site: try siteID("B"), instance: 1)
            #expect(record.begin(other) == [])
        }
    }

    @Test("what is not known of earlier instances for certain counts as nothing")
    func uncertainInstances() async throws {
        try await withDirectory { path in
            let (first, second) = ("\(path)/a", "\(path)/b")
            #expect(try FolderLock.take(first, mode: 0o700))
            #expect(try !FolderLock.take(first, mode: 0o700), "it is another process's")
            #expect(try FolderLock.take(second, mode: 0o700))
            _ = InstanceRecord(folder: first, logger: quiet).begin(try proxyID(1))
            // A copy, whose original may be at work.
            let file = ".instances.json"
            let bytes = try #require(try Files.read("\(first)/\(file)"))
            let text = String(decoding: bytes, as: UTF8.self)
            try write(text, "\(second)/\(file)")
            let copy = InstanceRecord(folder: second, logger: quiet)
            #expect(copy.begin(try proxyID(2)) == [])
            #expect(copy.begin(try proxyID(3)) == [try proxyID(2)])
            // From before the machine was started.
            let record = InstanceRecord(folder: first, logger: quiet)
            try write(text.replacing(#""boot":"#, with: #""boot":"x","then":"#), "\(first)/\(file)")
            #expect(record.begin(try proxyID(4)) == [])
            for text in ["", "{", "[]", #"{"boot":1}"#] {
                try write(text, "\(first)/\(file)")
                #expect(record.begin(try proxyID(5)) == [])
            }
        }
    }

    @Test("P13: what could not be kept is kept when it can be again")
    func keptLater() async throws {
        try await withDirectory { path in
            let state = StateDirectory("\(path)/state", logger: quiet)
            try FileManager.default.removeItem(atPath: "\(path)/state")
            try write("in the way", "\(path)/state")
            try state.save(document(5))
            state.finish()
            try FileManager.default.removeItem(atPath: "\(path)/state")
            try Files.makeDirectory("\(path)/state", mode: 0o700)
            let wanted = try document(5)
            #expect(
                try await eventually { state.loadConfiguration() == wanted }
            )
        }
    }

    @Test(
        "P13: a lasting problem is told once for each cause, whichever file meets it, and once when it is over"
    )
    func lasting() {
        var problem = LastingProblem()
        #expect(problem.take(nil) == nil)
        #expect(problem.take(FileProblem("/a", ENOSPC)) == .began("/a: No space left on device"))
        #expect(problem.take(FileProblem("/b", ENOSPC)) == nil)
        #expect(problem.take(FileProblem("/b", EROFS)) == .began("/b: Read-only file system"))
        #expect(problem.isLasting)
        #expect(problem.take(nil) == .ended)
        #expect(problem.take(nil) == nil)
    }

    @Test("garbage is reported once and changes nothing")
    func garbage() async throws {
        let recorder = Recorder(site: try siteID())
        let keeper = ConfigurationKeeper(dataPlane: recorder, directory: nil, logger: quiet)
        keeper.offer(try document(3).encoded(), from: .watched)
        keeper.offer(Data("{".utf8), from: .mounted)
        keeper.offer(Data("{".utf8), from: .mounted)
        #expect(recorder.told.withLock { $0.errors.count } == 1)
        #expect(recorder.told.withLock { $0.documents.count } == 1)
        keeper.offer(try document(4).encoded(), from: .watched)
        keeper.offer(Data("{".utf8), from: .mounted)
        #expect(recorder.told.withLock { $0.errors.count } == 2)
    }

    @Test("kept state is private and comes back after a restart")
    func restore() async throws {
        try await withDirectory { path in
            let place = "\(path)/state"
            let endpoint = LocalEndpoint(
                endpoint: Endpoint(address: try #require(IPAddress("10.1.2.3")), port: 80),
                portName: PortName("http"),
                ready: true,
                serving: true,
                terminating: false
            )
            let first = StateDirectory(place, logger: quiet)
            try first.save(document(3))
            first.save(["web-tl-12345678": [endpoint]])
            first.finish()
            #expect(try mode(of: "\(place)/configuration.json") == 0o600)
            #expect(try mode(of: "\(place)/endpoints.json") == 0o600)

            let second = StateDirectory(place, logger: quiet)
            #expect(second.loadConfiguration() == (try document(3)))
            let recorder = Recorder(site: try siteID())
            EndpointSource(dataPlane: recorder, directory: second).restore()
            #expect(recorder.told.withLock { $0.endpoints } == ["web-tl-12345678": [endpoint]])
        }
    }

    @Test("what an earlier version kept is read, and so is what a later one will have kept")
    func otherVersions() async throws {
        try await withDirectory { path in
            let golden = try Golden.data("endpoints.json")
            let endpoint = LocalEndpoint(
                endpoint: Endpoint(address: try #require(IPAddress("10.0.0.1")), port: 8080),
                portName: PortName("http"),
                ready: true,
                serving: true,
                terminating: false
            )
            let wanted = ["web-tl-12345678": [endpoint]]
            for document in [golden, try Golden.extended(golden, below: 1)] {
                try document.write(to: URL(filePath: "\(path)/endpoints.json"))
                #expect(StateDirectory(path, logger: quiet).loadEndpoints() == wanted)
            }
            let state = StateDirectory(path, logger: quiet)
            state.save(wanted)
            state.finish()
            let written = try Data(contentsOf: URL(filePath: "\(path)/endpoints.json"))
            #expect(written == golden.dropLast())
        }
    }

    @Test("a torn file counts as absent, and what a killed writer left is removed")
    func torn() async throws {
        try await withDirectory { path in
            let first = StateDirectory(path, logger: quiet)
            try first.save(document(3))
            first.save(["web-tl-12345678": []])
            first.finish()
            for name in ["configuration.json", "endpoints.json"] {
                let whole = try Data(contentsOf: URL(filePath: "\(path)/\(name)"))
                for length in [0, 1, whole.count / 2, whole.count - 1] {
                    try whole.prefix(length).write(to: URL(filePath: "\(path)/\(name)"))
                    let state = StateDirectory(path, logger: quiet)
                    if name == "configuration.json" {
                        #expect(state.loadConfiguration() == nil)
                    } else {
                        #expect(state.loadEndpoints().isEmpty)
                    }
                }
            }
            try write("half", "\(path)/configuration.json.tmp-99")
            _ = StateDirectory(path, logger: quiet)
            #expect(!FileManager.default.fileExists(atPath: "\(path)/configuration.json.tmp-99"))
        }
    }
}
