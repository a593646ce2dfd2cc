import Foundation
import Glibc
import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteFolder
import Testing

@testable import ProxyProcess

/// The real process with real sockets on an address of the loopback that is its own.
@Suite("Process of a plain site", .serialized)
struct ProcessTests {
    private static let site = """
        apiVersion: tieline.dev/v1alpha1
        kind: Site
        metadata: {name: plain}
        spec:
          drain: {delay: 0s, grace: 1s}
        """

    private static func link(cost: String) -> String {
        """
        apiVersion: tieline.dev/v1alpha1
        kind: Link
        metadata: {name: west}
        spec:
          endpoints: [{host: 127.0.0.1, port: 9}]
          remoteSiteID: BBBBBBBBBBBBBBBBBBBBBBBBBB
          cost: \(cost)
        """
    }

    private static func service(server: Int) -> String {
        """
        apiVersion: tieline.dev/v1alpha1
        kind: Service
        metadata: {name: echo}
        spec:
          ports: [{name: tcp, port: 8080, targetPort: \(server)}]
          hosts: [127.0.0.1]
          listen: {enabled: true}
        """
    }

    /// Where the programs are built: beside the test program.
    private static func program(_ name: String) throws -> URL {
        let folder = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        return try #require(
            [folder, Bundle.main.bundleURL, folder.deletingLastPathComponent()]
                .map { $0.appending(path: name) }
                .first { FileManager.default.isExecutableFile(atPath: $0.path) },
            "\(name) is not built"
        )
    }

    private func start(
        _ directory: String,
        _ address: String,
        prepare: (Pipe) -> Void = { _ in }
    ) throws -> (Process, Pipe) {
        let process = Process()
        process.executableURL = try Self.program("tieline-proxy")
        process.arguments = [
            "run", "--site-dir", directory, "--bind", address, "--admin", "\(address):0", "--loops",
            "1",
        ]
        let errors = Pipe()
        prepare(errors)
        process.standardError = errors
        try process.run()
        return (process, errors)
    }

    @Test("good, broken, repaired, cost changed, ended")
    func lifeCycle() async throws {
        try await withDirectory { path in
            let address = "127.\(Int.random(in: 1...250)).\(Int.random(in: 1...250)).7"
            let server = try EchoServer()
            defer { withExtendedLifetime(server) {} }
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.link(cost: "5"), "\(path)/link.yaml")
            try write(Self.service(server: server.port), "\(path)/service.yaml")
            let (process, errors) = try start(path, address)
            // Read all along, so that the pipe never fills.
            let log = LogReader(errors)
            defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

            func serves() -> Bool { EchoServer.asks("\(address)", 8080) }
            func cost() throws -> Int32? {
                guard let data = try Files.read("\(path)/status/link-west.json") else { return nil }
                return try JSONDecoder().decode(Link.self, from: data).status.appliedCost?.value
            }
            #expect(try await eventually { serves() }, "\(log.text)")
            #expect(try await eventually { try cost() == 5 })

            try write(Self.link(cost: "[9"), "\(path)/link.yaml")
            #expect(
                try await eventually {
                    try Files.read("\(path)/status/site-plain.json").map {
                        String(decoding: $0, as: UTF8.self).contains("link.yaml:8")
                    } ?? false
                }
            )
            #expect(try await eventually { log.text.contains("link.yaml:8") }, "\(log.text)")
            #expect(serves())
            #expect(try cost() == 5)
            #expect(kill(process.processIdentifier, SIGHUP) == 0)

            // Once may be late on a busy machine; the look every 10 s alone would be late twice.
            var fastest = Duration.seconds(60)
            for value in [9, 11] as [Int32] {
                try write(Self.link(cost: "\(value)"), "\(path)/link.yaml")
                let begin = ContinuousClock.now
                #expect(try await eventually { try cost() == value })
                fastest = min(fastest, ContinuousClock.now - begin)
            }
            #expect(fastest < .seconds(3))
            #expect(serves())

            process.terminate()
            #expect(try await eventually { !process.isRunning })
            #expect(process.terminationStatus == 0, "\(log.text)")
            #expect(!serves())
            for secret in [
                "PRIVATE KEY", try #require(try Files.read("\(path)/identity/snapshot.key")).text,
            ] {
                #expect(!log.text.contains(secret))
            }
        }
    }

    @Test(
        "P1: a log that nobody reads holds up neither clients nor SIGTERM; P4: a second copy ends before it opens a port"
    )
    func unreadLog() async throws {
        try await withDirectory { path in
            let address = "127.\(Int.random(in: 1...250)).\(Int.random(in: 1...250)).7"
            let server = try EchoServer()
            defer { withExtendedLifetime(server) {} }
            try write(Self.site, "\(path)/site.yaml")
            try write(Self.service(server: server.port), "\(path)/service.yaml")
            let (process, errors) = try start(path, address) { pipe in
                // Full before the process has said a word.
                let end = pipe.fileHandleForWriting.fileDescriptor
                let flags = fcntl(end, F_GETFL)
                _ = fcntl(end, F_SETFL, flags | O_NONBLOCK)
                let filler = [UInt8](repeating: 0x2E, count: 4_096)
                while unsafe Glibc.write(end, filler, filler.count) > 0 {}
                _ = fcntl(end, F_SETFL, flags)
            }
            defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
            #expect(try await eventually { EchoServer.asks(address, 8080) })

            let (second, saying) = try start(path, address)
            let log = LogReader(saying)
            #expect(try await eventually { !second.isRunning })
            #expect(second.terminationStatus == 1)
            #expect(
                try await eventually { log.text.contains("another tieline-proxy runs this site") }
            )
            for _ in 0..<20 { #expect(EchoServer.asks(address, 8080)) }

            // It logs this, and goes on.
            try write("kind: [", "\(path)/broken.yaml")
            #expect(
                try await eventually {
                    try Files.read("\(path)/status/site-plain.json").map {
                        String(decoding: $0, as: UTF8.self).contains("broken.yaml")
                    } ?? false
                }
            )
            #expect(EchoServer.asks(address, 8080))
            process.terminate()
            #expect(try await eventually { !process.isRunning })
            #expect(process.terminationStatus == 0)
            withExtendedLifetime(errors) {}
        }
    }

    @Test("without a good configuration at the first start it ends with 2 and says where")
    func unusable() async throws {
        try await withDirectory { path in
            try write(Self.link(cost: "0"), "\(path)/link.yaml")
            let (process, errors) = try start(path, "127.0.0.7")
            let log = LogReader(errors)
            #expect(try await eventually { !process.isRunning })
            #expect(process.terminationStatus == 2)
            #expect(
                try await eventually { log.text.contains("link.yaml:7: spec.cost") },
                "\(log.text)"
            )
        }
    }
}

extension Data {
    fileprivate var text: String {
        String(decoding: self, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
