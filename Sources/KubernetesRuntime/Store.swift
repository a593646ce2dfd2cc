package import KubernetesAPI
import Synchronization

/// What happened to one object, as a handler is told.
package enum Change<Object: KubernetesObject>: Sendable {
    case added(Object)
    /// The store's state before and after; events between may have been skipped.
    case updated(old: Object, new: Object)
    /// With the last state known, which may be older than the one that was deleted.
    case deleted(Object)

    /// The newest state that the change knows.
    package var object: Object {
        switch self {
        case .added(let object), .updated(_, let object), .deleted(let object): object
        }
    }

    package var key: ObjectKey { object.key }
}

/// A way to find objects by something that they say: one look-up instead of a walk over all of them.
///
/// Kept up to date with each change of the store, so that an answer costs what it holds.
package struct StoreIndex<Object: KubernetesObject>: Sendable {
    let name: String
    let values: @Sendable (Object) -> [String]

    /// An index of that name; `values` gives under what an object is found, and depends on the object alone.
    package init(_ name: String, values: @escaping @Sendable (Object) -> [String]) {
        self.name = name
        self.values = values
    }
}

/// The objects of a kind as last seen; reading is synchronous and never waits for the server.
///
/// What it shows is a state that the server had, never newer than the present one. Absence means "not
/// there" only once `hasSynced`.
package final class Store<Object: KubernetesObject>: Sendable {
    private struct State {
        var objects: [ObjectKey: Object] = [:]
        var namespaces: [String: Set<ObjectKey>] = [:]
        /// By the name of the index, then by value.
        var indexed: [String: [String: Set<ObjectKey>]] = [:]
        var uids: [String: ObjectKey] = [:]
        /// Objects that exist and do not decode; what `objects` has of them is out of date.
        var undecodable: [ObjectKey: Undecodable] = [:]
        var hasSynced = false
        var resourceVersion: String?

        mutating func insert(_ object: Object, _ indexes: [StoreIndex<Object>]) -> Object? {
            let key = object.key
            let old = objects.updateValue(object, forKey: key)
            if let old { unlist(old, indexes) }
            if let namespace = key.namespace { namespaces[namespace, default: []].insert(key) }
            if let uid = object.metadata.uid { uids[uid] = key }
            for index in indexes {
                for value in index.values(object) {
                    indexed[index.name, default: [:]][value, default: []].insert(key)
                }
            }
            return old
        }

        mutating func remove(_ key: ObjectKey, _ indexes: [StoreIndex<Object>]) -> Object? {
            guard let object = objects.removeValue(forKey: key) else { return nil }
            unlist(object, indexes)
            return object
        }

        private mutating func unlist(_ object: Object, _ indexes: [StoreIndex<Object>]) {
            let key = object.key
            if let namespace = key.namespace { namespaces.removeMember(key, of: namespace) }
            if let uid = object.metadata.uid, uids[uid] == key { uids[uid] = nil }
            for index in indexes {
                for value in index.values(object) {
                    indexed[index.name]?.removeMember(key, of: value)
                }
            }
        }

        mutating func removeAll() {
            objects.removeAll(keepingCapacity: true)
            namespaces.removeAll(keepingCapacity: true)
            indexed.removeAll()
            uids.removeAll(keepingCapacity: true)
        }
    }

    private let state = Mutex(State())
    private let indexes: [StoreIndex<Object>]

    package init(indexes: [StoreIndex<Object>] = []) { self.indexes = indexes }

    /// Whether a whole list has been taken in.
    package var hasSynced: Bool { state.withLock { $0.hasSynced } }

    /// The state of the collection that the store shows at least; opaque, for logs and comparison by
    /// `ResourceVersion`.
    package var resourceVersion: String? { state.withLock { $0.resourceVersion } }

    package var count: Int { state.withLock { $0.objects.count } }

    package func get(_ key: ObjectKey) -> Object? { state.withLock { $0.objects[key] } }

    /// The object of that name, when it is there and does not decode; `get` may have an earlier state of it.
    package func undecodable(_ key: ObjectKey) -> Undecodable? {
        state.withLock { $0.undecodable[key] }
    }

    /// All objects that are there and do not decode, in the order of their keys.
    package func undecodable() -> [Undecodable] {
        state.withLock { Array($0.undecodable.values) }.sorted { $0.key < $1.key }
    }

    /// The objects of one namespace that are there and do not decode, in the order of their keys.
    package func undecodable(in namespace: String) -> [Undecodable] {
        state.withLock { state in state.undecodable.values.filter { $0.key.namespace == namespace }
        }
        .sorted { $0.key < $1.key }
    }

    /// Whether an object with that UID is there and is not being deleted, decodable or not.
    package func holds(uid: String) -> Bool {
        state.withLock { state in
            func isMeant(_ metadata: ObjectMeta) -> Bool {
                metadata.uid == uid && !metadata.isTerminating
            }
            return state.uids[uid].flatMap { state.objects[$0] }.map { isMeant($0.metadata) }
                ?? false
                || state.undecodable.values.contains { isMeant($0.metadata) }
        }
    }

    /// How many objects a namespace has.
    package func count(in namespace: String) -> Int {
        state.withLock { $0.namespaces[namespace]?.count ?? 0 }
    }

    /// The objects that are found under `value` in the index of that name, in the order of their keys.
    package func list(_ index: String, _ value: String) -> [Object] {
        precondition(indexes.contains { $0.name == index }, "the store has no index \(index)")
        return state.withLock { state in
            (state.indexed[index]?[value] ?? []).compactMap { state.objects[$0] }
        }
        .sorted { $0.key < $1.key }
    }

    /// What `read` gives of the objects that are found under `value` in the index of that name, in no order.
    package func collect<Value: Sendable>(
        _ index: String,
        _ value: String,
        _ read: (Object) -> [Value]
    ) -> [Value] {
        precondition(indexes.contains { $0.name == index }, "the store has no index \(index)")
        return state.withLock { state in
            (state.indexed[index]?[value] ?? []).flatMap { state.objects[$0].map(read) ?? [] }
        }
    }

    /// How many objects are found under `value` in the index of that name.
    package func count(_ index: String, _ value: String) -> Int {
        precondition(indexes.contains { $0.name == index }, "the store has no index \(index)")
        return state.withLock { $0.indexed[index]?[value]?.count ?? 0 }
    }

    /// The keys of one namespace, in no order.
    package func keys(in namespace: String) -> Set<ObjectKey> {
        state.withLock { $0.namespaces[namespace] ?? [] }
    }

    package func contains(_ key: ObjectKey) -> Bool { state.withLock { $0.objects[key] != nil } }

    /// All objects, in the order of their keys.
    package func list() -> [Object] {
        state.withLock { Array($0.objects.values) }.sorted { $0.key < $1.key }
    }

    /// The objects of one namespace, in the order of their keys.
    package func list(in namespace: String) -> [Object] {
        state.withLock { state in
            (state.namespaces[namespace] ?? []).compactMap { state.objects[$0] }
        }
        .sorted { $0.key < $1.key }
    }

    /// The keys of all objects that are there and do not decode.
    var undecodableKeys: Set<ObjectKey> { state.withLock { Set($0.undecodable.keys) } }

    package func keys() -> [ObjectKey] { state.withLock { Array($0.objects.keys) }.sorted() }
}

// Writing is the informer's.
extension Store {
    func note(resourceVersion: String) {
        state.withLock { $0.resourceVersion = resourceVersion }
    }

    func put(_ object: Object) -> Change<Object>? {
        state.withLock { state in
            if let version = object.metadata.resourceVersion { state.resourceVersion = version }
            state.undecodable[object.key] = nil
            guard let old = state.insert(object, indexes) else { return .added(object) }
            // The same state twice, as after a resumed watch, is no news.
            return old == object ? nil : .updated(old: old, new: object)
        }
    }

    func remove(_ object: Object) -> Change<Object>? {
        state.withLock { state in
            if let version = object.metadata.resourceVersion { state.resourceVersion = version }
            state.undecodable[object.key] = nil
            return state.remove(object.key, indexes).map { _ in .deleted(object) }
        }
    }

    func remove(_ key: ObjectKey) -> Change<Object>? {
        state.withLock { state in
            state.undecodable[key] = nil
            return state.remove(key, indexes).map(Change.deleted)
        }
    }

    func put(undecodable: Undecodable) {
        state.withLock { $0.undecodable[undecodable.key] = undecodable }
    }

    /// Swaps in a whole list at once; what it lacks was deleted.
    ///
    /// What is known of the `undecodable` ones stays as it is: they exist but do not decode any more.
    func replace(
        with objects: [Object],
        undecodable: [Undecodable],
        resourceVersion: String?
    ) -> [Change<Object>] {
        state.withLock { state in
            var old = state.objects
            let kept = undecodable.compactMap { old.removeValue(forKey: $0.key) }
            state.undecodable = Dictionary(undecodable.map { ($0.key, $0) }) { $1 }
            state.removeAll()
            state.hasSynced = true
            state.resourceVersion = resourceVersion
            for object in kept { _ = state.insert(object, indexes) }
            var changes: [Change<Object>] = []
            for object in objects {
                _ = state.insert(object, indexes)
                guard let previous = old.removeValue(forKey: object.key) else {
                    changes.append(.added(object))
                    continue
                }
                if previous != object { changes.append(.updated(old: previous, new: object)) }
            }
            let gone = old.values.sorted { $0.key < $1.key }
            return gone.map(Change.deleted) + changes
        }
    }
}

extension [String: Set<ObjectKey>] {
    /// Nothing is kept of a value that nobody has any more.
    fileprivate mutating func removeMember(_ key: ObjectKey, of value: String) {
        self[value]?.remove(key)
        if self[value]?.isEmpty == true { self[value] = nil }
    }
}

/// Comparing resource versions, as Kubernetes 1.35 allows it.
package enum ResourceVersion {
    /// Whether `left` is an older state than `right`; nil when they cannot be compared.
    package static func isOlder(_ left: String, than right: String) -> Bool? {
        guard isWellFormed(left), isWellFormed(right) else { return nil }
        return (left.utf8.count, left) < (right.utf8.count, right)
    }

    private static func isWellFormed(_ version: String) -> Bool {
        !version.isEmpty && version.utf8.count <= 39 && version.utf8.first != UInt8(ascii: "0")
            && version.utf8.allSatisfy { (48...57).contains($0) }
    }
}
