import FoundationEssentials
import Glibc
package import NetworkAPI
import NetworkModel

/// What a plain site keeps of the tokens that it issued: a folder in its state, with a file for each.
///
/// Whoever changes something holds the folder from reading to writing, so that a change is made of what was read: the proxy, which lets
/// sites in, and whoever issues a token or cuts a site off. A file is replaced whole, and is on the disk before anybody goes by it.
package struct GrantFolder: Sendable {
    package let path: String
    private let state: String

    private static let suffix = ".json"
    /// For somebody else's change.
    private static let patience = 100

    /// In the state folder of a plain site.
    package init(state: String) {
        self.state = state
        path = "\(state)/grants"
    }

    /// - Throws: when one of them cannot be read: who came by it would be shut out without a word.
    package func read() throws -> GrantLedger {
        guard try Files.exists(orThrow: path) else { return GrantLedger([:]) }
        var entries: [String: Data] = [:]
        for name in try Files.list(path) where name.hasSuffix(Self.suffix) {
            if let data = try Files.read("\(path)/\(name)") {
                entries[String(name.dropLast(Self.suffix.count))] = data
            }
        }
        let ledger = GrantLedger(entries)
        if let name = entries.keys.sorted().first(where: { ledger.grants[$0] == nil }) {
            throw FileProblem("\(file(name)) is no grant: remove it, or restore it")
        }
        return ledger
    }

    /// Makes a change of what is there, and returns what is there then.
    @discardableResult
    package func change(_ body: (inout GrantLedger) throws -> Void) throws -> GrantLedger {
        let owner = Files.Owner(of: state)
        try Files.makeDirectory(path, mode: 0o700, owner: owner)
        let lock = try take("\(path)/.lock", owner)
        defer { close(lock) }
        var ledger = try read()
        try body(&ledger)
        for (name, data) in ledger.changes.sorted(by: { $0.key < $1.key }) {
            if let data {
                try Files.replace(file(name), with: data, owner: owner)
            } else {
                guard unsafe unlink(file(name)) == 0 || errno == ENOENT else {
                    throw FileProblem(file(name), errno)
                }
                try Files.syncFolder(of: file(name))
            }
        }
        return ledger
    }

    private func file(_ name: String) -> String { "\(path)/\(name)\(Self.suffix)" }

    /// The lock goes with its descriptor, and with the process.
    private func take(_ file: String, _ owner: Files.Owner?) throws -> Int32 {
        let descriptor = unsafe open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileProblem(file, errno) }
        for _ in 0..<Self.patience where owner?.take(descriptor) ?? true {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return descriptor }
            guard errno == EWOULDBLOCK else { break }
            usleep(20_000)
        }
        let code = errno
        close(descriptor)
        throw FileProblem(file, code)
    }
}
