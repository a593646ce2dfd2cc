import FoundationEssentials
import Glibc
import Logging
import NetworkModel
import SiteFolder

/// Which instances of a proxy have run in a folder: each says of those before it that they have ended.
///
/// It is certain: this process has the folder's lock, which each of them held until its end. What was copied from another folder, or was
/// written before the machine started, counts as nothing: its instance may live elsewhere.
struct InstanceRecord: Sendable {
    /// The folder, of which this process has the lock.
    let folder: String
    let logger: Logger

    private struct Content: Codable {
        /// Of the machine's start.
        var boot: String
        /// The lock file's place on its disk.
        var lock: String
        /// The newest first.
        var instances: [String]
    }

    /// As many as starts may follow each other before the network has heard of the first.
    private static let limit = 4

    /// Notes `own`, and gives those that ran here before it.
    func begin(_ own: ProxyID) -> [ProxyID] {
        do {
            let (boot, lock) = (try Self.boot(), try lockPlace())
            let last = try read()
            let isSame = last?.boot == boot && last?.lock == lock
            let before = isSame ? (last?.instances ?? []).compactMap { ProxyID($0) } : []
            let ended = before.filter { $0.site == own.site && $0 != own }.prefix(Self.limit)
            let instances = [own] + ended
            let content = Content(boot: boot, lock: lock, instances: instances.map(\.description))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            // After a crash of the machine it counts as nothing.
            try Files.replace(file, with: encoder.encode(content), durable: false)
            return Array(ended)
        } catch {
            // Whoever waits for an earlier instance waits for its grace.
            logger.warning("earlier instances are not known", metadata: ["error": "\(error)"])
            return []
        }
    }

    private var file: String { "\(folder)/.instances.json" }

    /// What cannot be decoded tells nothing.
    private func read() throws -> Content? {
        try Files.read(file).flatMap { try? JSONDecoder().decode(Content.self, from: $0) }
    }

    private static func boot() throws -> String {
        let file = "/proc/sys/kernel/random/boot_id"
        guard let data = try Files.read(file) else { throw FileProblem(file, ENOENT) }
        return String(decoding: data, as: UTF8.self).filter { !$0.isWhitespace }
    }

    private func lockPlace() throws -> String {
        let path = FolderLock.file(in: folder)
        var facts = stat()
        guard unsafe stat(path, &facts) == 0 else { throw FileProblem(path, errno) }
        return "\(facts.st_dev):\(facts.st_ino)"
    }
}
