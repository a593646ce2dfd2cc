package import KubernetesAPI

/// The kinds that make Pods, and where in them the Pod is described.
package enum Workload {
    /// The members on the way to the template; nil for a kind that makes none, and empty for a Pod.
    package static func templatePath(apiVersion: String, kind: String) -> [String]? {
        switch (apiVersion, kind) {
        case ("v1", "Pod"): []
        case ("v1", "ReplicationController"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"),
            ("apps/v1", "DaemonSet"), ("apps/v1", "ReplicaSet"), ("batch/v1", "Job"):
            ["spec", "template"]
        case ("batch/v1", "CronJob"): ["spec", "jobTemplate", "spec", "template"]
        default: nil
        }
    }

    /// What stands at the end of the path.
    package static func template(_ object: JSONValue, _ path: [String]) -> JSONValue? {
        path.reduce(object) { $0?[$1] }
    }

    package static func replacing(
        _ object: JSONValue,
        _ path: some Collection<String>,
        with template: JSONValue
    ) -> JSONValue {
        guard let first = path.first else { return template }
        var members = object.object ?? [:]
        members[first] = replacing(members[first] ?? [:], path.dropFirst(), with: template)
        return .object(members)
    }
}

/// What a Pod or its template says of its injection.
package struct InjectionWish: Equatable, Sendable {
    package var label: String?
    package var services: String?

    package init(_ pod: JSONValue) {
        let metadata = pod["metadata"]
        label = metadata?["labels"]?[InjectionName.label]?.string
        services = metadata?["annotations"]?[InjectionName.servicesAnnotation]?.string
    }
}
