package import KubernetesAPI

/// Who owns whom, over all kinds: what the garbage collector decides from.
package struct OwnershipGraph: Sendable {
    package struct Item: Sendable, Equatable {
        package var resource: Resource
        package var key: ObjectKey
        package var uid: String
        package var owners: [OwnerReference]
        package var isTerminating: Bool
        package var finalizers: [String]
        package var resourceVersion: String?

        /// Goes only after those that name it as an owner.
        package var waitsForDependents: Bool {
            isTerminating && finalizers.contains(OwnershipGraph.foreground)
        }

        /// Goes only after those that name it as an owner have forgotten it.
        package var leavesOrphans: Bool {
            isTerminating && finalizers.contains(OwnershipGraph.orphan)
        }
    }

    package static let foreground = "foregroundDeletion"
    package static let orphan = "orphan"

    private var items: [String: Item] = [:]
    private var dependents: [String: Set<String>] = [:]

    package init() {}

    package mutating func set(_ resource: Resource, _ metadata: ObjectMeta) {
        guard let uid = metadata.uid else { return }
        if let before = items[uid] { unlink(before) }
        let item = Item(
            resource: resource,
            key: metadata.key,
            uid: uid,
            owners: metadata.ownerReferences,
            isTerminating: metadata.isTerminating,
            finalizers: metadata.finalizers,
            resourceVersion: metadata.resourceVersion
        )
        items[uid] = item
        for owner in item.owners { dependents[owner.uid, default: []].insert(uid) }
    }

    /// Forgets an object; returns those that named it as an owner.
    package mutating func remove(uid: String) -> [Item] {
        if let item = items.removeValue(forKey: uid) { unlink(item) }
        return dependents(of: uid)
    }

    /// Those that name an object as an owner, in a fixed order.
    package func dependents(of uid: String) -> [Item] {
        (dependents[uid] ?? []).sorted().compactMap { items[$0] }
    }

    package subscript(uid: String) -> Item? { items[uid] }

    /// UIDs of a kind, to find out what a new list no longer has.
    package func uids(of resource: Resource) -> Set<String> {
        Set(items.values.lazy.filter { $0.resource == resource }.map(\.uid))
    }

    /// The owners of an object that this graph does not know: each must be looked up before it counts as gone.
    package func unknownOwners(of uid: String) -> [OwnerReference] {
        (items[uid]?.owners ?? []).filter { items[$0.uid] == nil }
    }

    /// The objects of which no owner is known: each a suspect after a gap in what was heard.
    package var orphans: [String] {
        items.values.filter { item in
            !item.owners.isEmpty && item.owners.allSatisfy { items[$0.uid] == nil }
        }.map(\.uid).sorted()
    }

    private mutating func unlink(_ item: Item) {
        for owner in item.owners {
            dependents[owner.uid]?.remove(item.uid)
            if dependents[owner.uid]?.isEmpty == true { dependents[owner.uid] = nil }
        }
    }
}
