import NetworkAPI
import NetworkModel
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
        /// Of core Services, which lead to the gateways.
        var addresses = false
    }

    private struct Entry {
        var compilation: SiteCompilation?
        var changes = Changes()
        var pace = ConfigurationPace()
    }

    private let entries = Mutex<[String: Entry]>([:])

    /// A Service was made, changed or removed.
    func noteService(_ name: String, in namespace: String) {
        entries.withLock { _ = $0[namespace]?.changes.services.insert(name) }
    }

    func noteLinks(in namespace: String) {
        entries.withLock { $0[namespace]?.changes.links = true }
    }

    func noteAddresses(in namespace: String) {
        entries.withLock { $0[namespace]?.changes.addresses = true }
    }

    /// Nil: there is none, or it failed; changes are noted from now on.
    func take(_ namespace: String) -> (SiteCompilation, Changes)? {
        entries.withLock { entries in
            let entry = entries.removeValue(forKey: namespace)
            entries[namespace] = Entry(pace: entry?.pace ?? ConfigurationPace())
            guard let entry, let compilation = entry.compilation else { return nil }
            return (compilation, entry.changes)
        }
    }

    func put(_ compilation: SiteCompilation, _ namespace: String) {
        entries.withLock { $0[namespace]?.compilation = compilation }
    }

    /// How long what has changed of Services is to wait for others, where `isKnown` says that the compilation speaks of all else
    /// as it is; nil: not at all.
    func wait(
        _ namespace: String,
        at now: Instant,
        isKnown: (SiteCompilation) -> Bool
    ) -> Duration? {
        entries.withLock { entries in
            guard let entry = entries[namespace], !entry.changes.links,
                let compilation = entry.compilation, isKnown(compilation)
            else { return nil }
            return entry.pace.wait(at: now)
        }
    }

    /// A round is over that wrote so many parts.
    func wrote(parts: Int, _ namespace: String, at now: Instant) {
        entries.withLock { $0[namespace]?.pace.wrote(parts: parts, at: now) }
    }

    func forget(_ namespace: String) { entries.withLock { $0[namespace] = nil } }
}
