package import KubernetesAPI
package import KubernetesClient
package import Logging
import Synchronization

/// Keeps a store up to date with the server and tells handlers of each change.
///
/// Guarantees: the store changes before a handler is told; each handler is told of changes one after
/// another, in the order of the store's; a handler that is added late is told of everything there as
/// added. A deletion and re-creation may be seen as one update (compare UIDs). Handlers run on the
/// informer's task under a lock: they enqueue a key and return; they add no handlers.
package final class Informer<Object: KubernetesObject>: Sendable {
    package typealias Handler = @Sendable (Change<Object>) -> Void
    package typealias UndecodableHandler = @Sendable (ObjectKey) -> Void

    package let store: Store<Object>
    private let reflector: Reflector<Object>
    private let handlers = Mutex<[Handler]>([])
    /// Added and called under the lock of `handlers` only.
    private let undecodableHandlers = Mutex<[UndecodableHandler]>([])
    private let waiters = Mutex<[Int: CheckedContinuation<Void, Never>]>([:])
    private let counts = Mutex(InformerCounts())

    /// An informer for the objects of `scope`.
    package init(
        client: KubernetesClient,
        scope: Scope = Scope(),
        settings: ReflectorSettings = ReflectorSettings(),
        indexes: [StoreIndex<Object>] = [],
        logger: Logger,
        health: @escaping @Sendable (ReflectorHealth) -> Void = { _ in }
    ) {
        store = Store(indexes: indexes)
        var reflector = Reflector<Object>(client: client, scope: scope, logger: logger)
        reflector.settings = settings
        reflector.health = health
        self.reflector = reflector
    }

    package var hasSynced: Bool { store.hasSynced }

    /// What has happened so far, for metrics.
    package var statistics: InformerCounts { counts.withLock { $0 } }

    /// Adds a handler; it is told of what the store holds already before this returns.
    package func addHandler(_ handler: @escaping Handler) {
        handlers.withLock { handlers in
            for object in store.list() { handler(.added(object)) }
            handlers.append(handler)
        }
    }

    /// Adds a handler that is told of objects that do not decode: that one came, changed or went.
    ///
    /// It is told of those that are there already before this returns.
    package func addUndecodableHandler(_ handler: @escaping UndecodableHandler) {
        handlers.withLock { _ in
            for key in store.undecodableKeys.sorted() { handler(key) }
            undecodableHandlers.withLock { $0.append(handler) }
        }
    }

    /// Follows the server until the task is canceled; the handlers are let go then.
    package func run() async {
        await reflector.run { [self] event in take(event) }
        // They may hold what holds this informer.
        handlers.withLock { handlers in
            handlers = []
            undecodableHandlers.withLock { $0 = [] }
        }
    }

    /// Waits for the first whole list; false when the task was canceled before.
    package func waitUntilSynced() async -> Bool {
        let id = counts.withLock { counts in
            counts.waiters += 1
            return counts.waiters
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = waiters.withLock { waiters in
                    guard !store.hasSynced, !Task.isCancelled else { return true }
                    waiters[id] = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            waiters.withLock { $0.removeValue(forKey: id) }?.resume()
        }
        return store.hasSynced
    }
}

/// Counters of an informer since its start.
package struct InformerCounts: Sendable {
    /// Whole states taken in; more than one each time the watch lost its place.
    package var lists = 0
    package var changes = 0
    package var undecodable = 0
    fileprivate var waiters = 0
}

extension Informer {
    private func take(_ event: ReflectorEvent<Object>) {
        let isFirst = handlers.withLock { handlers in
            let hadSynced = store.hasSynced
            let undecodable = undecodableKeys(event)
            let changes = apply(event)
            counts.withLock { counts in
                counts.changes += changes.count
                if case .replaced(_, let failures, _) = event {
                    counts.lists += 1
                    counts.undecodable += failures.count
                }
                if case .undecodable = event { counts.undecodable += 1 }
            }
            for change in changes {
                for handler in handlers { handler(change) }
            }
            for key in undecodable {
                for handler in undecodableHandlers.withLock({ $0 }) { handler(key) }
            }
            return !hadSynced && store.hasSynced
        }
        guard isFirst else { return }
        let waiting = waiters.withLock { waiters in
            defer { waiters = [:] }
            return Array(waiters.values)
        }
        for continuation in waiting { continuation.resume() }
    }

    private func apply(_ event: ReflectorEvent<Object>) -> [Change<Object>] {
        switch event {
        case .replaced(let objects, let undecodable, let version):
            return store.replace(
                with: objects,
                undecodable: undecodable,
                resourceVersion: version
            )
        case .put(let object): return store.put(object).map { [$0] } ?? []
        case .removed(let object): return store.remove(object).map { [$0] } ?? []
        case .removedUndecodable(let key): return store.remove(key).map { [$0] } ?? []
        case .progressed(let version):
            store.note(resourceVersion: version)
            return []
        case .undecodable(let failure):
            store.put(undecodable: failure)
            return []
        }
    }

    /// The undecodable objects that an event is about to change.
    private func undecodableKeys(_ event: ReflectorEvent<Object>) -> [ObjectKey] {
        switch event {
        case .replaced(_, let undecodable, _):
            store.undecodableKeys.union(undecodable.map(\.key)).sorted()
        case .undecodable(let failure): [failure.key]
        case .removedUndecodable(let key): [key]
        case .put, .removed, .progressed: []
        }
    }
}
