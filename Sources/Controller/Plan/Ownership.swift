import KubernetesAPI
import NetworkAPI
import NetworkModel

/// Whose an object is that has the name of a child of ours.
enum Ownership: Equatable, Sendable {
    case ours
    /// It is going, or belongs to an object of ours that is gone: then the name is free.
    ///
    /// `owner` is that object; nil when nobody needs to remove what goes by itself.
    case leaving(message: String, owner: EarlierOwner?)
    /// Somebody else's; `message` names it.
    case foreign(message: String)
}

/// An object of ours that is not in the stores any more and still owns something.
struct EarlierOwner: Hashable, Sendable {
    var kind: String
    var key: ObjectKey
    var uid: String
}

/// Which of the objects that children belong to are there: whether one of that UID is, and stays.
typealias OwnerCheck = (_ uid: String) -> Bool

extension Ownership {
    /// Compares what is there under a child's kind and name with the child itself.
    ///
    /// The owner counts first: labels are anybody's to overwrite. `isThere` is asked about another owner of our API
    /// group. `isMarked` says whether an object without an owner carries what only we write; it was orphaned then
    /// (`--cascade=orphan`), and is adopted.
    init(
        of found: ObjectMeta,
        kind: String,
        wanted: ObjectMeta,
        isMarked: Bool,
        isThere: OwnerCheck
    ) {
        let what = "the \(kind) \(found.name) in namespace \(found.namespace ?? "")"
        if let uid = found.childOwner {
            guard uid != wanted.childOwner else {
                // What is going away is made again once it is gone.
                self =
                    found.isTerminating
                    ? .leaving(message: "\(what) is being deleted", owner: nil) : .ours
                return
            }
            guard let owner = found.earlierOwner, !isThere(uid) else {
                self = .foreign(message: found.foreignMessage(what))
                return
            }
            self = .leaving(
                message: "\(what) is about to be removed: it belonged to the \(owner.kind) "
                    + "\(found.controller?.name ?? "\(owner.key)"), which is gone",
                owner: found.isTerminating ? nil : owner
            )
            return
        }
        guard found.isManaged, isMarked else {
            self = .foreign(message: found.foreignMessage(what))
            return
        }
        self =
            found.isTerminating ? .leaving(message: "\(what) is being deleted", owner: nil) : .ours
    }
}

extension ObjectMeta {
    /// Whose child it is: the controlling owner's UID, or the label's in another namespace.
    fileprivate var childOwner: String? { controller?.uid ?? labels[Names.ownerLabel] }

    /// The owner, if it is one of our kinds.
    fileprivate var earlierOwner: EarlierOwner? {
        if let controller {
            guard controller.apiVersion.hasPrefix("\(NetworkGroup.name)/") else { return nil }
            return EarlierOwner(
                kind: controller.kind,
                key: ObjectKey(namespace: namespace, name: controller.name),
                uid: controller.uid
            )
        }
        guard let uid = labels[Names.ownerLabel], let key = exposingService else { return nil }
        return EarlierOwner(kind: Service.resource.kind, key: key, uid: uid)
    }

    private var exposingService: ObjectKey? {
        let parts = annotations[Names.ownerAnnotation]?.split(separator: "/") ?? []
        guard parts.count == 2 else { return nil }
        return ObjectKey(namespace: String(parts[0]), name: String(parts[1]))
    }

    fileprivate func foreignMessage(_ what: String) -> String {
        if let controller {
            return "\(what) belongs to the \(controller.kind) \(controller.name); "
                + "choose another name"
        }
        guard labels[Names.ownerLabel] == nil else {
            let owner = annotations[Names.ownerAnnotation] ?? "of another namespace"
            return "\(what) belongs to the Service \(owner); choose another name"
        }
        return isManaged
            ? "\(what) has no owner and is left alone; delete or rename it"
            : "\(what) was not made by Tieline and is left alone; delete or rename it"
    }
}

/// An object of an earlier owner that has a name which is wanted.
struct Leftover: Hashable, Sendable {
    var resource: Resource
    var key: ObjectKey
    var uid: String
    var owner: EarlierOwner
}

/// How long leftovers have been in the way: the garbage collector comes first, and may never come.
struct LeftoverWatch: Sendable {
    /// The collector needs a second or two as a rule.
    static let patience: Duration = .seconds(5)
    /// One that nobody asked about for so long is gone.
    private static let memory: Duration = .seconds(60)

    private var seen: [String: (first: Instant, last: Instant)] = [:]

    /// Takes what is in the way now; returns what has been for long enough.
    mutating func due(_ leftovers: [Leftover], at now: Instant) -> [Leftover] {
        for leftover in leftovers {
            seen[leftover.uid] = (seen[leftover.uid]?.first ?? now, now)
        }
        seen = seen.filter { now - $0.value.last < Self.memory }
        return leftovers.filter { leftover in
            seen[leftover.uid].map { now - $0.first >= Self.patience } ?? false
        }
    }

    var count: Int { seen.count }
}
