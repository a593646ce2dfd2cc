import NetworkAPI
import Synchronization

/// The compiled configurations of all namespaces, and what has changed since.
///
/// Handlers note changes; one reconcile at a time takes a namespace's compilation out, brings it up to date and puts it back. One
/// that fails does not: then everything is read and compiled anew.
final class CompilationCache: Sendable {
    /// What changed since a compilation was taken out last.
    struct Changes: Sendable {
        var services: Set<String> = []
        var links = false
    }

    private struct Entry {
        var compilation: SiteCompilation?
        var changes = Changes()
    }

    private let entries = Mutex<[String: Entry]>([:])

    /// A Service was made, changed or removed.
    func noteService(_ name: String, in namespace: String) {
        entries.withLock { _ = $0[namespace]?.changes.services.insert(name) }
    }

    func noteLinks(in namespace: String) {
        entries.withLock { $0[namespace]?.changes.links = true }
    }

    /// Nil: there is none, or it failed; changes are noted from now on.
    func take(_ namespace: String) -> (SiteCompilation, Changes)? {
        entries.withLock { entries in
            let entry = entries.removeValue(forKey: namespace)
            entries[namespace] = Entry()
            guard let entry, let compilation = entry.compilation else { return nil }
            return (compilation, entry.changes)
        }
    }

    func put(_ compilation: SiteCompilation, _ namespace: String) {
        entries.withLock { $0[namespace]?.compilation = compilation }
    }

    func forget(_ namespace: String) { entries.withLock { $0[namespace] = nil } }
}
