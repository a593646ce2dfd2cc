import KubernetesAPI
import KubernetesRuntime
import NetworkAPI
import NetworkModel

/// One Event about one transition of one object.
struct EventPlan: Equatable, Sendable {
    var regarding: ObjectReference
    var reason: EventReason
    var isWarning: Bool
    /// For people, with what to do.
    var note: String
    /// Tells this transition apart from all others of the object with the same reason.
    ///
    /// The name of the Event is derived from it: written twice, by whomever and whenever, it is still one Event.
    var seed: String

    static let reportingController = "tieline.dev/controller"

    func note(at now: Timestamp) -> EventNote {
        EventNote(
            regarding: regarding,
            kind: isWarning ? .warning : .normal,
            reason: reason.rawValue,
            action: reason.rawValue,
            text: note,
            time: now,
            name: name
        )
    }

    var name: String {
        let hash = StableHash.hex64("\(regarding.uid ?? "")|\(reason.rawValue)|\(seed)".utf8)
        return "\((regarding.name ?? "object").prefix(230)).\(hash)"
    }
}
