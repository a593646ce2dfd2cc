import KubernetesAPI

/// A Pod or the template of one, as it is taken apart and put together.
struct PodTemplate {
    private(set) var pod: JSONValue

    init(_ pod: JSONValue) { self.pod = pod }

    var spec: JSONValue { pod["spec"] ?? [:] }

    /// Takes out what an earlier injection has put in.
    mutating func removeInjected() {
        let annotations = pod["metadata"]?["annotations"]
        guard annotations?[InjectionName.injectedAnnotation] != nil else { return }
        remove(from: "initContainers") { $0["name"]?.string == InjectionName.sidecar }
        remove(from: "volumes") { $0["name"]?.string == InjectionName.volume }
        remove(from: "hostAliases") { LoopbackAddresses.isOurs($0["ip"]?.string ?? "") }
        if let start = annotations?[InjectionName.portsAnnotation]?.string {
            removePortStart(start)
        }
        annotate(InjectionName.injectedAnnotation, nil)
        annotate(InjectionName.portsAnnotation, nil)
    }

    private mutating func removePortStart(_ value: String) {
        var security = spec["securityContext"]?.object ?? [:]
        let others = (security["sysctls"]?.array ?? []).filter {
            $0["name"]?.string != InjectionName.portStart || $0["value"]?.string != value
        }
        security["sysctls"] = others.isEmpty ? nil : .array(others)
        set("securityContext", security.isEmpty ? nil : .object(security))
    }

    /// Lets processes without rights listen on ports from `lowest` on, in the network of this Pod: a setting that Kubernetes
    /// counts as safe, and that the Pod Security Standard `restricted` allows.
    mutating func allowPorts(from lowest: Int64) throws(InjectionProblem) {
        var security = spec["securityContext"]?.object ?? [:]
        var sysctls = security["sysctls"]?.array ?? []
        let own = sysctls.first { $0["name"]?.string == InjectionName.portStart }
        if let own {
            let value = own["value"]?.string ?? ""
            guard let start = Int64(value), start <= lowest else {
                throw InjectionProblem(
                    "a service has port \(lowest), and the Pod sets the sysctl \(InjectionName.portStart) to \(value); "
                        + "set it to \(lowest) or less"
                )
            }
            return
        }
        sysctls.append(["name": .string(InjectionName.portStart), "value": .string("\(lowest)")])
        security["sysctls"] = .array(sysctls)
        set("securityContext", .object(security))
        annotate(InjectionName.portsAnnotation, "\(lowest)")
    }

    mutating func prepend(_ element: JSONValue, to list: String) {
        set(list, .array([element] + (spec[list]?.array ?? [])))
    }

    mutating func append(_ elements: [JSONValue], to list: String) {
        set(list, .array((spec[list]?.array ?? []) + elements))
    }

    private mutating func remove(from list: String, where isOurs: (JSONValue) -> Bool) {
        guard let elements = spec[list]?.array else { return }
        let rest = elements.filter { !isOurs($0) }
        set(list, rest.isEmpty ? nil : .array(rest))
    }

    mutating func annotate(_ name: String, _ value: String?) {
        var metadata = pod["metadata"]?.object ?? [:]
        var annotations = metadata["annotations"]?.object ?? [:]
        annotations[name] = value.map(JSONValue.string)
        metadata["annotations"] = annotations.isEmpty ? nil : .object(annotations)
        setRoot("metadata", .object(metadata))
    }

    private mutating func set(_ field: String, _ value: JSONValue?) {
        var members = spec.object ?? [:]
        members[field] = value
        setRoot("spec", .object(members))
    }

    private mutating func setRoot(_ field: String, _ value: JSONValue) {
        var members = pod.object ?? [:]
        members[field] = value
        pod = .object(members)
    }
}
