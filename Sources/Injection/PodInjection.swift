package import KubernetesAPI

/// Puts a sidecar into a Pod, or into the template of one: what it does not know stays as it is.
///
/// Doing it again gives the same; with other services, another image or another annotation what was put in before is replaced.
package struct PodInjection: Sendable {
    /// A Pod with its sidecar.
    package struct Result: Equatable, Sendable {
        package var pod: JSONValue
        /// What somebody may want to know, such as a service that was left out.
        package var notes: [String]
    }

    let services: [OfferedService]
    let settings: SidecarSettings

    package init(services: [OfferedService], settings: SidecarSettings) {
        self.services = services
        self.settings = settings
    }

    /// Whether the Pod has a sidecar already, made here or by hand.
    package static func hasSidecar(_ pod: JSONValue) -> Bool {
        (pod["spec"]?["initContainers"]?.array ?? []).contains {
            $0["name"]?.string == InjectionName.sidecar
        }
    }

    /// Whether the sidecar of the Pod was put in by an injection.
    package static func hasInjected(_ pod: JSONValue) -> Bool {
        hasSidecar(pod)
            && pod["metadata"]?["annotations"]?[InjectionName.injectedAnnotation] != nil
    }

    /// The services that a Pod wishes, or all there are.
    ///
    /// - Throws: which one is missing, with the remedy.
    package static func services(
        _ wish: InjectionWish,
        among offered: [OfferedService]
    ) throws(InjectionProblem) -> [OfferedService] {
        let chosen =
            if let text = wish.services {
                try ServiceChoice(text).resolve(among: offered)
            } else { offered }
        guard chosen.isEmpty else { return chosen }
        throw InjectionProblem(
            "the Site listens for no service here; make a Service of tieline.dev, "
                + "or name services in the annotation \(InjectionName.servicesAnnotation)"
        )
    }

    /// The Pod with an annotation that names services.
    package static func annotating(_ pod: JSONValue, services: String) -> JSONValue {
        var template = PodTemplate(pod)
        template.annotate(InjectionName.servicesAnnotation, services)
        return template.pod
    }

    /// - Throws: why this Pod gets none.
    package func inject(into pod: JSONValue) throws(InjectionProblem) -> Result {
        var template = PodTemplate(pod)
        template.removeInjected()
        try PodObstacle.check(template.spec)
        let (usable, notes) = try usable(in: template.spec)
        let addresses = LoopbackAddresses.assign(usable.map(\.host))
        let ordered = usable.sorted { $0.host < $1.host }
        let listeners = ordered.flatMap { service in
            service.ports.map {
                "\(service.address)/\($0.name)=\(addresses[service.host] ?? ""):\($0.number)"
            }
        }
        let root = template.spec["securityContext"]?["runAsUser"]?.integer == 0
        template.prepend(
            SidecarTemplate.container(listeners: listeners, asOtherUser: root, settings),
            to: "initContainers"
        )
        template.append([SidecarTemplate.volume], to: "volumes")
        template.append(
            ordered.map {
                SidecarTemplate.alias(
                    addresses[$0.host] ?? "",
                    host: $0.host,
                    namespace: settings.namespace
                )
            },
            to: "hostAliases"
        )
        let told = ordered.flatMap { service in service.ports.map { "\(service.host)/\($0.name)" } }
        template.annotate(InjectionName.injectedAnnotation, told.joined(separator: ","))
        let lowest = ordered.flatMap(\.ports).map(\.number).min()
        if let lowest, lowest < 1024 { try template.allowPorts(from: Int64(lowest)) }
        return Result(pod: template.pod, notes: notes)
    }

    /// Without those whose port the workload itself listens on, or whose name it gives to somebody else.
    private func usable(
        in spec: JSONValue
    ) throws(InjectionProblem) -> (services: [OfferedService], notes: [String]) {
        let served = WorkloadPorts(spec).numbers
        let aliased = Set(
            (spec["hostAliases"]?.array ?? []).flatMap { $0["hostnames"]?.array ?? [] }
                .compactMap(\.string)
        )
        var usable: [OfferedService] = []
        var notes: [String] = []
        for service in services {
            if let other = usable.first(where: { $0.host == service.host }) {
                notes.append(
                    "service \"\(service.name)\" is left out: \"\(other.name)\" has the name \(service.host) as well"
                )
            } else if let port = service.ports.first(where: { served.contains(Int64($0.number)) }) {
                notes.append(
                    "service \"\(service.name)\" is left to the gateways: a container of this Pod listens on port "
                        + "\(port.number) itself"
                )
            } else if service.ports.contains(where: { $0.number == SidecarTemplate.adminPort }) {
                notes.append(
                    "service \"\(service.name)\" is left to the gateways: the sidecar itself listens on port "
                        + "\(SidecarTemplate.adminPort)"
                )
            } else if aliased.contains(service.host) {
                notes.append(
                    "service \"\(service.name)\" is left out: hostAliases of this Pod say where \(service.host) is"
                )
            } else {
                usable.append(service)
            }
        }
        guard !usable.isEmpty else { throw InjectionProblem(notes.joined(separator: "; ")) }
        return (usable, notes)
    }
}
