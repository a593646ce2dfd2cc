import KubernetesAPI

/// What has to be written so that the wanted children are there, and no others.
struct ChildrenPlan: Equatable, Sendable {
    var writes: [Write] = []
    /// Names that somebody else's objects have.
    var conflicts: [String] = []
    /// Objects that have a wanted name for the moment and are about to go.
    var waits: [String] = []
    /// Those among them that an owner left behind which is gone.
    var leftovers: [Leftover] = []

    init() {}

    /// - Parameters:
    ///   - wanted: In the order in which they are to be written.
    ///   - observed: What is there under the names of `wanted`, and all that is ours.
    ///   - settled: What needs no comparison, and learns what needs no second one.
    ///   - isThere: Whether an object of ours with that UID is there and stays.
    init(
        wanted: [Child],
        observed: [Child],
        settled: SettledChildren? = nil,
        isThere: OwnerCheck = { _ in true }
    ) {
        for child in wanted {
            let found = observed.first { $0.isSame(as: child) }
            if let found, let settled, settled.holds(child, as: found) { continue }
            switch child.decide(observed: found, isThere: isThere) {
            case .keep: if let found { settled?.note(child, as: found) }
            case .write(let more): writes += more
            case .wait(let message, let leftover):
                waits.append(message)
                if let leftover { leftovers.append(leftover) }
            case .conflict(let message): conflicts.append(message)
            }
        }
    }

    /// Adds the deletion of those of `owned` that are not wanted any more.
    mutating func prune(_ owned: [Child], wanted: [Child]) {
        for child in owned where !wanted.contains(where: { $0.isSame(as: child) }) {
            let metadata = child.object.metadata
            guard let uid = metadata.uid, !metadata.isTerminating else { continue }
            writes.append(.delete(type(of: child.object).resource, child.key, uid: uid))
        }
    }
}

extension Child {
    /// The same kind, namespace and name.
    func isSame(as other: Child) -> Bool {
        type(of: object).resource == type(of: other.object).resource && key == other.key
    }
}
