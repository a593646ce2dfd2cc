import Injection
import KubernetesAPI
import NetworkAPI

/// A Pod with the label that asks for a sidecar, as far as it matters whether it has one.
struct AskingPod: KubernetesObject {
    static let resource = Core.Pod.resource

    var metadata: ObjectMeta
    /// Of a Pod without a sidecar that runs or shall run: what decides about one, so that the reason can be told; nil: nothing is
    /// missing.
    var lacking: JSONValue?

    private enum Key: String, CodingKey { case metadata }

    init(from decoder: any Decoder) throws {
        metadata = try decoder.container(keyedBy: Key.self).decode(
            ObjectMeta.self,
            forKey: .metadata
        )
        let pod = try JSONValue(from: decoder)
        let phase = pod["status"]?["phase"]?.string
        let isOver = metadata.isTerminating || phase == "Succeeded" || phase == "Failed"
        guard !isOver, !PodInjection.hasSidecar(pod) else { return }
        lacking = [
            "metadata": [
                "labels": pod["metadata"]?["labels"] ?? [:],
                "annotations": pod["metadata"]?["annotations"] ?? [:],
            ],
            "spec": pod["spec"] ?? [:],
        ]
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(metadata, forKey: .metadata)
    }
}

/// What is told of Pods that asked for a sidecar and have none.
struct LackOfSidecar {
    let admission: PodAdmission
    /// Whether the API server asks the controllers at all.
    let isServed: Bool

    /// One Event for each Pod; nil: nothing is missing.
    func event(of pod: AskingPod) -> EventPlan? {
        guard let lacking = pod.lacking else { return nil }
        let note: String
        switch admission.decide(lacking, in: pod.metadata.namespace ?? "") {
        case .none: return nil
        case .refused(let reason): note = "it has no sidecar: \(reason)"
        case .sidecar where isServed:
            note =
                "it has no sidecar: no controller of Tieline answered when it was made, or what it needs came later; "
                + "delete the Pod, so that it is made anew"
        case .sidecar:
            note =
                "it has no sidecar: injection is off in this cluster (the controllers' option --webhook); "
                + "use tieline inject"
        }
        return EventPlan(
            regarding: ObjectReference(to: pod),
            reason: .notInjected,
            isWarning: true,
            note: note,
            seed: "lacking"
        )
    }
}
