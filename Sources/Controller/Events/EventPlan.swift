import KubernetesAPI
import NetworkAPI

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

    func make(instance: String, at now: Timestamp) -> Events.Event {
        Events.Event {
            $0.metadata.name = name
            $0.metadata.namespace = regarding.namespace
            $0.eventTime = MicroTimestamp(now)
            $0.reportingController = Self.reportingController
            $0.reportingInstance = String(instance.prefix(128))
            $0.action = reason.rawValue
            $0.reason = reason.rawValue
            $0.regarding = regarding
            $0.note = note.prefix(utf8: 1024)
            $0.type = isWarning ? "Warning" : "Normal"
        }
    }

    var name: String {
        let hash = String("\(regarding.uid ?? "")|\(reason.rawValue)|\(seed)".stableHash, radix: 16)
        return
            "\((regarding.name ?? "object").prefix(230)).\(String(repeating: "0", count: 16 - hash.count))\(hash)"
    }
}

extension String {
    /// The longest prefix of whole characters within `limit` bytes.
    func prefix(utf8 limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var text = ""
        var count = 0
        for character in self {
            count += String(character).utf8.count
            if count > limit { break }
            text.append(character)
        }
        return text
    }
}
