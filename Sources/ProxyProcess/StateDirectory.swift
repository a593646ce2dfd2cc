import Dispatch
import FoundationEssentials
import Logging
import NetworkModel
import Proxy
import SiteConfiguration
import Synchronization

/// The last configuration and endpoints, kept for a restart of the container while the API server is away.
///
/// Files are replaced in one step, on a thread of their own, and readable by this user only. What does not decode (a torn write of an earlier
/// version, a full disk) counts as absent.
final class StateDirectory: Sendable {
    private let directory: String
    private let logger: Logger
    private let thread = FileThread("state")
    private let kept = Mutex(Kept())

    private struct Kept {
        /// What is in the files; spares writes that change nothing.
        var written: [String: Data] = [:]
        /// What is to be written, the newest only.
        var waiting: [String: Data] = [:]
        /// Why the last write failed.
        var problem = LastingProblem()
        /// Another attempt at what waits is under way.
        var isRetrying = false
    }

    /// Makes the directory when it is not there.
    init(_ directory: String, logger: Logger) {
        self.directory = directory
        self.logger = logger
        do {
            try Files.makeDirectory(directory, mode: 0o700)
        } catch {
            logger.warning("the state directory cannot be made", metadata: ["error": "\(error)"])
        }
        Files.removeTemporaries(in: directory)
    }

    func loadConfiguration() -> ConfigurationDocument? {
        guard let data = load("configuration.json") else { return nil }
        return try? ConfigurationDocument.decode(data)
    }

    func save(_ document: ConfigurationDocument) {
        save("configuration.json") { try document.encoded() }
    }

    /// The endpoints by core Service.
    func loadEndpoints() -> [String: [LocalEndpoint]] {
        guard let data = load("endpoints.json"),
            let stored = try? JSONDecoder().decode([String: [StoredEndpoint]].self, from: data)
        else { return [:] }
        return stored.mapValues { $0.compactMap(\.endpoint) }
    }

    func save(_ endpoints: [String: [LocalEndpoint]]) {
        save("endpoints.json") {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            return try encoder.encode(endpoints.mapValues { $0.map(StoredEndpoint.init) })
        }
    }

    private func load(_ name: String) -> Data? {
        do {
            return try Files.read("\(directory)/\(name)")
        } catch {
            logger.warning("kept state cannot be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private func save(_ name: String, _ encode: () throws -> Data) {
        do {
            let data = try encode()
            kept.withLock { $0.waiting[name] = data }
            thread.later { [self] in write(name) }
        } catch {
            logger.error("state does not encode", metadata: ["error": "\(error)"])
        }
    }

    /// Waits until everything that was saved is on the disk.
    func finish() { thread.finish() }

    private func write(_ name: String) {
        let data = kept.withLock { kept in
            let data = kept.waiting.removeValue(forKey: name)
            return data == kept.written[name] ? nil : data
        }
        guard let data else { return }
        var problem: (any Error)?
        do {
            try Files.replace("\(directory)/\(name)", with: data)
        } catch {
            problem = error
        }
        let news = kept.withLock { kept in
            if problem == nil {
                kept.written[name] = data
            } else if kept.waiting[name] == nil {
                kept.waiting[name] = data
            }
            return kept.problem.take(problem)
        }
        switch news {
        case .began(let text)?:
            // Serving goes on; only a restart without the API server would miss it.
            logger.warning("state cannot be kept", metadata: ["error": "\(text)"])
        case .ended?: logger.notice("state can be kept again")
        case nil: break
        }
        if problem != nil { retryLater() }
    }

    /// A disk that is full has room again some day, whether or not the state changes once more.
    private func retryLater() {
        let isNew = kept.withLock { kept in
            defer { kept.isRetrying = true }
            return !kept.isRetrying
        }
        guard isNew else { return }
        thread.later(after: .seconds(5)) { [weak self] in
            guard let self else { return }
            let names = kept.withLock { kept in
                kept.isRetrying = false
                return kept.waiting.keys.sorted()
            }
            for name in names { write(name) }
        }
    }
}

/// A `LocalEndpoint` as it is written down.
private struct StoredEndpoint: Codable {
    var address: String
    var port: UInt16
    var portName: PortName?
    var ready: Bool
    var serving: Bool
    var terminating: Bool

    init(_ endpoint: LocalEndpoint) {
        address = "\(endpoint.endpoint.address)"
        port = endpoint.endpoint.port
        portName = endpoint.portName
        ready = endpoint.ready
        serving = endpoint.serving
        terminating = endpoint.terminating
    }

    var endpoint: LocalEndpoint? {
        guard let address = IPAddress(address) else { return nil }
        return LocalEndpoint(
            endpoint: Endpoint(address: address, port: port),
            portName: portName,
            ready: ready,
            serving: serving,
            terminating: terminating
        )
    }
}
