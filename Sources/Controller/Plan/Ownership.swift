import KubernetesAPI
import NetworkAPI

/// Whose an object is that has the name of a child of ours.
enum Ownership: Equatable, Sendable {
    case ours
    /// It belongs to an object of ours that is gone or going: the cluster collects it, then the name is free.
    case leaving(message: String)
    /// Somebody else's; `message` names it.
    case foreign(message: String)
}

/// Which of the objects that children belong to are there: whether one of that UID is, and stays.
typealias OwnerCheck = (_ uid: String) -> Bool

extension Ownership {
    /// Compares what is there under a child's kind and name with the child itself.
    ///
    /// `isThere` is asked about another owner of our API group.
    init(
        of found: ObjectMeta,
        kind: String,
        wanted: ObjectMeta,
        isThere: OwnerCheck
    ) {
        let what = "the \(kind) \(found.name) in namespace \(found.namespace ?? "")"
        guard found.isManaged else {
            self = .foreign(
                message: "\(what) was not made by Tieline and is left alone; delete or rename it"
            )
            return
        }
        if found.childOwner == wanted.childOwner {
            // What is going away is made anew once it is gone.
            self = found.isTerminating ? .leaving(message: "\(what) is being deleted") : .ours
            return
        }
        guard let uid = found.childOwner else {
            self = .foreign(message: "\(what) has no owner and is left alone; delete or rename it")
            return
        }
        let owner = found.ownerDescription
        let isOfOurs =
            found.controller.map { $0.apiVersion.hasPrefix("\(NetworkGroup.name)/") } ?? true
        self =
            isOfOurs && !isThere(uid)
            ? .leaving(
                message: "\(what) is about to be removed: it belonged to \(owner), which is gone"
            )
            : .foreign(message: "\(what) belongs to \(owner); choose another name")
    }
}

extension ObjectMeta {
    /// Whose child it is: the controlling owner's UID, or the label's in another namespace.
    fileprivate var childOwner: String? { controller?.uid ?? labels[Names.ownerLabel] }

    fileprivate var ownerDescription: String {
        if let controller { return "the \(controller.kind) \(controller.name)" }
        return "the Service \(annotations[Names.ownerAnnotation] ?? "of another namespace")"
    }
}
