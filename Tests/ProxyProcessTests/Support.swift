import Foundation
import Logging
import NetworkModel
import Proxy
import ProxyContract
import SiteControl
import Synchronization
import Testing

@testable import ProxyProcess

/// Writes down what it is told.
final class Recorder: DataPlane {
    struct Told {
        var documents: [ConfigurationDocument] = []
        var errors: [String] = []
        var endpoints: [String: [LocalEndpoint]] = [:]
        var endpointCalls = 0
        var credentials: [ProxyCredentials] = []
        var refusesCredentials = false
        var stall: String?
        var refreshes = 0
        var snapshot: ProxySnapshot
        var meters = ProxyMeters()
        var map: NetworkMap?
    }

    let told: Mutex<Told>

    init(site: SiteID) {
        told = Mutex(Told(snapshot: ProxySnapshot(proxy: ProxyID(site: site, instance: 7))))
    }

    func apply(_ document: ConfigurationDocument) {
        told.withLock { told in
            told.documents.append(document)
            told.snapshot.appliedGeneration = document.generation
            told.snapshot.version += 1
        }
    }

    func reportConfigurationError(_ message: String) {
        told.withLock { $0.errors.append(message) }
    }

    func setEndpoints(service: String, _ endpoints: [LocalEndpoint]) {
        told.withLock { told in
            told.endpoints[service] = endpoints
            told.endpointCalls += 1
        }
    }

    func setCredentials(_ credentials: ProxyCredentials) throws(ProxyError) {
        let isRefused = told.withLock { told in
            if !told.refusesCredentials { told.credentials.append(credentials) }
            return told.refusesCredentials
        }
        if isRefused { throw .credentials("refused") }
    }

    var snapshot: ProxySnapshot { told.withLock { $0.snapshot } }

    func snapshot(after version: UInt64, limit: Duration) async -> ProxySnapshot {
        let deadline = ContinuousClock.now + limit
        while snapshot.version <= version, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(10))
        }
        return snapshot
    }

    func update(after version: UInt64, of proxy: ProxyID, limit: Duration) async -> SnapshotUpdate {
        SnapshotUpdate(await snapshot(after: version, limit: limit))
    }

    var isReady: Bool { told.withLock { !$0.documents.isEmpty } }
    let openStreams = 0
    let neighborUsage: [NeighborUsage] = []
    var meters: ProxyMeters { told.withLock { $0.meters } }
    var servicePorts: [ServicePort] { told.withLock { $0.snapshot.services.map(\.service) } }

    func explain(_ service: ServicePort, at wall: Timestamp) -> ServiceExplanation? {
        let snapshot = snapshot
        guard servicePorts.contains(service) else { return nil }
        return ServiceExplanation(
            proxy: snapshot.proxy,
            site: SiteName(id: snapshot.proxy.site),
            service: service,
            time: wall,
            candidates: [],
            decisions: [],
            servers: []
        )
    }

    func trace(
        _ service: ServicePort,
        to site: SiteID?,
        at wall: Timestamp
    ) async throws(TraceRefusal) -> ServiceTrace { throw .noTarget }

    /// A sidecar's answer, until one is set.
    func networkMap(at wall: Timestamp) async -> NetworkMap? { told.withLock { $0.map } }

    func refresh() async { told.withLock { $0.refreshes += 1 } }
    func stall(beyond limit: Duration) -> String? { told.withLock { $0.stall } }
    func drain() async {}
    func stop() async {}
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func siteID(_ letter: Character = "A") throws -> SiteID {
    try #require(SiteID(String(repeating: letter, count: SiteID.length)))
}

func document(_ generation: UInt64) throws -> ConfigurationDocument {
    ConfigurationDocument(
        generation: generation,
        snapshotKey: "key\(generation)",
        configuration: SiteConfiguration(site: SiteName(id: try siteID(), name: "east"))
    )
}

/// A directory that is gone afterwards.
func withDirectory<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let path = FileManager.default.temporaryDirectory
        .appending(path: "proxy-process-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
}

/// Waits until `condition` holds, at most half a minute: disks of test machines are slow at times.
func eventually(_ condition: () throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
        if try condition() { return true }
        try await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// What the tests need of Foundation under a name of their own: the system's `stat`.
func mode(of path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
}

extension StateDirectory {
    /// As a keeper saves what it applied.
    func save(_ document: ConfigurationDocument) throws {
        save(head: try document.encoded(), parts: document.parts ?? [])
    }
}
