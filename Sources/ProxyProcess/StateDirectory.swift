import Dispatch
import FoundationEssentials
import Glibc
import Logging
import NetworkModel
import Proxy
import ProxyContract
import SiteControl
import SiteFolder
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
        /// The configuration to be written.
        var document: Written?
        /// The digests of the parts that are in files as they are, and the names of all files of parts; nil: to be looked for.
        var parts: Set<String> = []
        var partFiles: Set<String>?
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

    /// Nil also when one of its parts is missing.
    func loadConfiguration() -> ConfigurationDocument? {
        guard let data = load(ConfigurationDocument.fileName),
            let head = try? ConfigurationHead.decode(data)
        else { return nil }
        var parts: [String: ConfigurationPart] = [:]
        for digest in head.parts ?? [] {
            guard let bytes = load(ConfigurationPart.fileName(digest)),
                let part = try? ConfigurationPart(bytes), part.digest == digest
            else { return nil }
            parts[digest] = part
        }
        kept.withLock { $0.parts = Set(parts.keys) }
        return head.document { parts[$0] }
    }

    /// A configuration with its head as it came: making its text once more would take longer than writing it.
    private struct Written {
        var head: Data
        var parts: [ConfigurationPart]
    }

    /// Writes the parts that are new, then the head, and removes the parts that it does not name: whenever the process ends,
    /// the head's parts are there.
    func save(head: Data, parts: [ConfigurationPart]) {
        kept.withLock { $0.document = Written(head: head, parts: parts) }
        thread.later { [self] in writeDocument() }
    }

    private func writeDocument() {
        let (document, known) = kept.withLock { kept in
            defer { kept.document = nil }
            return (kept.document, kept.parts)
        }
        guard let document else { return }
        do {
            for part in document.parts where !known.contains(part.digest) {
                let name = ConfigurationPart.fileName(part.digest)
                try Files.replace("\(directory)/\(name)", with: part.bytes)
                kept.withLock { _ = $0.partFiles?.insert(name) }
            }
            try Files.replace("\(directory)/\(ConfigurationDocument.fileName)", with: document.head)
            let parts = Set(document.parts.map(\.digest))
            kept.withLock { $0.parts = parts }
            removeParts(except: parts)
            tell(nil)
        } catch {
            kept.withLock { kept in
                if kept.document == nil { kept.document = document }
            }
            tell(error)
        }
    }

    private func removeParts(except named: Set<String>) {
        var wanted = Set(named.map(ConfigurationPart.fileName))
        let there =
            kept.withLock { $0.partFiles }
            ?? Set(Files.names(in: directory).filter { $0.hasPrefix("services-") })
        for name in there.subtracting(wanted) where unsafe unlink("\(directory)/\(name)") != 0 {
            // It is tried again with the next change, unless somebody else removed it.
            if errno != ENOENT { wanted.insert(name) }
        }
        kept.withLock { $0.partFiles = wanted }
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
        do {
            try Files.replace("\(directory)/\(name)", with: data)
            kept.withLock { $0.written[name] = data }
            tell(nil)
        } catch {
            kept.withLock { kept in
                if kept.waiting[name] == nil { kept.waiting[name] = data }
            }
            tell(error)
        }
    }

    /// Tells once why state cannot be kept, and once that it can be again.
    private func tell(_ problem: (any Error)?) {
        let news = kept.withLock { $0.problem.take(problem) }
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
            writeDocument()
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
