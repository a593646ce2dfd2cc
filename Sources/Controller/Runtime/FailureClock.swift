import KubernetesClient
import NetworkModel
import Synchronization

/// For how long the attempts for each key have been failing.
///
/// Most failures pass by themselves within moments; one that lasts is told in status, and the work that does not depend on
/// it goes on.
final class FailureClock<Key: Hashable & Sendable>: Sendable {
    private let since = Mutex<[Key: Instant]>([:])

    /// The time since the first failure in a row; this is one more.
    func failed(_ key: Key, at now: Instant) -> Duration {
        since.withLock { since in
            let first = since[key] ?? now
            since[key] = first
            return now - first
        }
    }

    /// When to look again, for something that no event tells: after 5 s at first, after a minute once it has lasted.
    func wait(_ key: Key, at now: Instant) -> Duration {
        min(max(.seconds(5), failed(key, at: now) / 4), .seconds(60))
    }

    /// Whether the last attempt failed.
    func isFailing(_ key: Key) -> Bool { since.withLock { $0[key] != nil } }

    /// It worked, or nobody asks any more.
    func end(_ key: Key) { since.withLock { $0[key] = nil } }
}

extension APIError {
    /// How long a failure is taken for one that passes.
    ///
    /// The API server's authorizer and its admission policies hear of a new Site and of a new RoleBinding by watches of
    /// their own.
    private static let patience: Duration = .seconds(2)

    /// Whether status tells of this failure when attempts have been failing for this time.
    ///
    /// At once what finds fault with the object itself (422): another attempt cures nothing. Never what only says that
    /// something was read too early, or that this process is to end.
    func isTold(after time: Duration) -> Bool {
        if case .fenced = self { return false }
        guard !isConflict, !isAlreadyExists, !isCancelled, !isAbsence else { return false }
        return isInvalid || time >= Self.patience
    }
}
