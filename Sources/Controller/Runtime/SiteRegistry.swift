import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration
import Synchronization

/// What is known of the Site of one namespace beside the stores: how far the controller has brought it.
struct SiteRecord: Sendable {
    /// The Site that the namespace belongs to.
    var site: Site
    var siteID: SiteID?
    /// What the gateways were told last.
    var document: ConfigurationDocument?
    var findings: [Finding] = []
    /// Which generation of each object is in `document`.
    var compiled: [FoundObject: Int64] = [:]
    /// From which generation of the configuration on an object's part of it has been as it is.
    var since: [FoundObject: UInt64] = [:]
    /// Which ports of the gateways belong to whom.
    var ports = ListenerPorts()

    init(site: Site) { self.site = site }

    /// The configuration's generation that carries the object as it is now; nil while none does.
    func generation(of object: some NetworkObject, _ kind: ObjectKind) -> UInt64? {
        let name = FoundObject(kind: kind, name: object.metadata.name)
        guard compiled[name] == object.metadata.generation else { return nil }
        return since[name]
    }

    func service(_ name: String) -> ServiceConfiguration? {
        document?.configuration.services.first { $0.name == name }
    }

    /// Takes a configuration that is in the Secret now; `compiled` says of which objects.
    mutating func take(
        _ new: ConfigurationDocument,
        compilation: Compilation,
        links: [Link],
        services: [Service]
    ) {
        let old = document?.configuration
        var generations: [FoundObject: UInt64] = [:]
        compiled = [:]
        for link in links {
            let object = FoundObject(kind: .link, name: link.metadata.name)
            let part = new.configuration.links.first { $0.name.text == object.name }
            let isSame = part == old?.links.first { $0.name.text == object.name }
            generations[object] = isSame ? since[object] ?? new.generation : new.generation
            compiled[object] = link.metadata.generation
        }
        for service in services {
            let object = FoundObject(kind: .service, name: service.metadata.name)
            let part = new.configuration.services.first { $0.name == object.name }
            let isSame = part == old?.services.first { $0.name == object.name }
            generations[object] = isSame ? since[object] ?? new.generation : new.generation
            compiled[object] = service.metadata.generation
        }
        since = generations
        document = new
        findings = compilation.findings
        ports = compilation.ports
    }
}

/// The records of all namespaces, and what their gateways have told.
///
/// One writer for each part: a namespace's record is written by its Site's reconcile, a gateway's snapshot by its
/// poller; everybody reads.
final class SiteRegistry: Sendable {
    /// One run of one gateway pod.
    struct GatewayKey: Hashable, Sendable {
        var pod: ObjectKey
        var uid: String
    }

    private struct State {
        var records: [String: SiteRecord] = [:]
        var snapshots: [GatewayKey: ProxySnapshot] = [:]
    }

    private let state = Mutex(State())

    subscript(namespace: String) -> SiteRecord? {
        get { state.withLock { $0.records[namespace] } }
        set { state.withLock { $0.records[namespace] = newValue } }
    }

    /// Puts a snapshot in its place; returns the one before.
    func set(_ snapshot: ProxySnapshot?, of gateway: GatewayKey) -> ProxySnapshot? {
        state.withLock { state in
            let old = state.snapshots[gateway]
            state.snapshots[gateway] = snapshot
            return old
        }
    }

    /// What the gateways among `pods` say.
    func view(of pods: [Core.Pod]) -> SiteView {
        state.withLock { state in
            SiteView(
                gateways: pods.map { pod in
                    GatewayView(
                        pod: pod.metadata.name,
                        address: pod.status.podIP,
                        isReady: pod.status.isReady,
                        isTerminating: pod.metadata.isTerminating,
                        snapshot: pod.metadata.uid.flatMap {
                            state.snapshots[GatewayKey(pod: pod.key, uid: $0)]
                        }
                    )
                }
            )
        }
    }
}
