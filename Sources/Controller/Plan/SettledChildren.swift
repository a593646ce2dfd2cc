import KubernetesAPI
import Synchronization

/// Children that were compared with what is there, and found as they are wanted.
///
/// A comparison renders both sides as JSON, and most reconciles of an owner change nothing about its children. What is there is the
/// same as long as its UID and resource version are, so an equal pair needs no second look.
final class SettledChildren: Sendable {
    private struct Place: Hashable {
        let kind: String
        let key: ObjectKey

        init(_ resource: Resource, _ key: ObjectKey) {
            kind = resource.kind
            self.key = key
        }

        init(_ child: Child) { self.init(type(of: child.object).resource, child.key) }
    }

    private struct Pair {
        let wanted: Child
        let uid: String
        let version: String
    }

    private let pairs = Mutex<[Place: Pair]>([:])

    func holds(_ wanted: Child, as observed: Child) -> Bool {
        let metadata = observed.object.metadata
        guard let pair = pairs.withLock({ $0[Place(wanted)] }), pair.uid == metadata.uid,
            pair.version == metadata.resourceVersion
        else { return false }
        return pair.wanted == wanted
    }

    func note(_ wanted: Child, as observed: Child) {
        let metadata = observed.object.metadata
        guard let uid = metadata.uid, let version = metadata.resourceVersion else { return }
        pairs.withLock { $0[Place(wanted)] = Pair(wanted: wanted, uid: uid, version: version) }
    }

    /// An object that is gone is compared with nothing.
    func forget<Object: KubernetesObject>(_ object: Object) {
        pairs.withLock { $0[Place(Object.resource, object.metadata.key)] = nil }
    }

    var count: Int { pairs.withLock(\.count) }
}
