import Injection
import KubernetesAPI
import ManifestReading
import NetworkAPI

/// Injects into the workloads of manifests, by what stands in the manifests alone.
struct ManifestInjector {
    /// In the place of the annotations; nil: what those say.
    let services: String?
    /// Of objects that name none.
    let namespace: String?
    let image: String
    /// What was left alone or left out, and why.
    private(set) var notes: [String] = []

    init(services: String? = nil, namespace: String? = nil, image: String) {
        self.services = services
        self.namespace = namespace
        self.image = image
    }

    /// The manifests with sidecars, one after the other.
    mutating func inject(into streams: [ManifestStream]) throws -> String {
        var offered: [String: [OfferedService]] = [:]
        for stream in streams {
            for service in try stream.services() {
                guard let found = OfferedService(service) else { continue }
                offered[service.metadata.namespace ?? namespace ?? "", default: []].append(found)
            }
        }
        var text = ""
        for var stream in streams {
            try stream.change { object in try inject(into: object, offered) }
            let part = try stream.text()
            if !text.isEmpty, !part.hasPrefix("---") { text += "---\n" }
            text += part
        }
        return text
    }

    private mutating func inject(
        into object: ManifestStream.Object,
        _ offered: [String: [OfferedService]]
    ) throws -> JSONValue? {
        guard
            let path = Workload.templatePath(apiVersion: object.apiVersion, kind: object.kind),
            var template = Workload.template(object.json, path)
        else { return nil }
        let place = path.joined(separator: ".")
        func field(_ name: String) -> String { path.isEmpty ? name : "\(place).\(name)" }
        if InjectionWish(template).label == InjectionName.disabled {
            notes.append("\(object.title): left alone, as its label \(InjectionName.label) says")
            return nil
        }
        guard let namespace = object.namespace ?? namespace else {
            throw object.problem(
                "metadata.namespace",
                "it names no namespace, and its sidecar has to know it; give --namespace"
            )
        }
        if let services { template = PodInjection.annotating(template, services: services) }
        let chosen: [OfferedService]
        do throws(InjectionProblem) {
            chosen = try PodInjection.services(
                InjectionWish(template),
                among: offered[namespace] ?? []
            )
        } catch {
            throw object.problem(
                field("metadata.annotations"),
                "\(error.description) (manifests of namespace \(namespace) were searched; --services names them too)"
            )
        }
        let injection = PodInjection(
            services: chosen,
            settings: SidecarSettings(namespace: namespace, image: image)
        )
        do throws(InjectionProblem) {
            let result = try injection.inject(into: template)
            notes += result.notes.map { "\(object.title): \($0)" }
            return Workload.replacing(object.json, path, with: result.pod)
        } catch {
            notes.append("\(object.title): not injected: \(error.description)")
            return nil
        }
    }
}

extension ManifestStream.Object {
    fileprivate var title: String {
        namespace.map { "\(kind) \($0)/\(name)" } ?? "\(kind) \(name)"
    }
}
