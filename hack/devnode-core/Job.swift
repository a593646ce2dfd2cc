import FoundationEssentials
package import KubernetesAPI
package import NetworkModel

/// A Job whose template is passed on as it is, whatever fields it has.
package struct Job: KubernetesObject, Schema {
    package static let resource = Resource(
        group: "batch",
        version: "v1",
        kind: "Job",
        plural: "jobs"
    )

    package var metadata = ObjectMeta()
    package var spec = Spec()
    @OmitEmpty package var status = Status()

    package init() {}

    package struct Spec: Schema {
        package var completions: Int?
        package var parallelism: Int?
        package var backoffLimit: Int?
        package var template: JSONValue = .object([:])

        package init() {}
    }

    package struct Status: Schema {
        package var active: Int?
        package var succeeded: Int?
        package var failed: Int?
        package var startTime: Timestamp?
        package var completionTime: Timestamp?
        @OmitEmpty package var conditions: [Core.PodCondition] = []

        package init() {}
    }

    package var hasEnded: Bool {
        status.conditions.contains {
            ["Complete", "Failed"].contains($0.type) && $0.status == "True"
        }
    }

    /// What its Pods have become, in the order of their numbers.
    package struct Step: Equatable {
        package var status: Status
        /// The numbers of Pods to be made.
        package var create: Range<Int>
    }

    /// What follows from the phases of all its Pods.
    package func step(_ phases: [String], at now: Timestamp) -> Step {
        let succeeded = phases.count { $0 == "Succeeded" }
        let failed = phases.count { $0 == "Failed" }
        let active = phases.count - succeeded - failed
        var next = status
        next.startTime = status.startTime ?? now
        next.active = active
        next.succeeded = succeeded
        next.failed = failed
        let wanted = spec.completions ?? 1
        if succeeded >= wanted {
            next.completionTime = now
            next.conditions = [Self.condition("Complete", at: now)]
            return Step(status: next, create: 0..<0)
        }
        if failed > spec.backoffLimit ?? 6 {
            next.conditions = [Self.condition("Failed", at: now)]
            return Step(status: next, create: 0..<0)
        }
        let missing = max(0, min(spec.parallelism ?? 1, wanted - succeeded) - active)
        next.active = active + missing
        return Step(status: next, create: phases.count..<phases.count + missing)
    }

    private static func condition(_ type: String, at now: Timestamp) -> Core.PodCondition {
        Core.PodCondition {
            $0.type = type
            $0.status = "True"
            $0.lastTransitionTime = now
        }
    }
}
