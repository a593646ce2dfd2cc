import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration
import StatusSummaries
import Synchronization

/// What is known of the Site of one namespace beside the stores: how far the controller has brought it.
struct SiteRecord: Sendable {
    /// The Site that the namespace belongs to.
    var site: Site
    var siteID: SiteID?
    /// What the gateways were told last.
    var document: ConfigurationDocument? {
        didSet {
            let services = document?.configuration.services ?? []
            configured = Dictionary(services.map { ($0.name, $0) }) { first, _ in first }
        }
    }
    /// The services of `document`, by the names of their objects.
    private var configured: [String: ServiceConfiguration] = [:]
    private var findings: [FoundObject: [Finding]] = [:]
    /// Which generation of each object is in `document`.
    private(set) var compiled: [FoundObject: ObjectGeneration] = [:]
    /// From which generation of the configuration on an object's part of it has been as it is.
    var since: [FoundObject: UInt64] = [:]
    /// The same of the Site's own part, beside Links and Services.
    private(set) var siteSince: UInt64?
    /// Which ports of the gateways belong to whom.
    var ports = ListenerPorts()
    /// From what `document` was compiled.
    var inputs: CompilationInputs?

    init(site: Site) { self.site = site }

    /// Whether `findings` and `document` speak of the object as it is now.
    func hasCompiled(_ object: some NetworkObject, _ kind: ObjectKind) -> Bool {
        let name = FoundObject(kind: kind, name: object.metadata.name)
        return compiled[name] == ObjectGeneration(object.metadata)
    }

    /// The configuration's generation that carries the object as it is now; nil while none does.
    func generation(of object: some NetworkObject, _ kind: ObjectKind) -> UInt64? {
        guard hasCompiled(object, kind) else { return nil }
        return since[FoundObject(kind: kind, name: object.metadata.name)]
    }

    func service(_ name: String) -> ServiceConfiguration? { configured[name] }

    /// What is wrong with an object, as far as its compilation showed.
    func findings(of kind: ObjectKind, _ name: String) -> [Finding] {
        findings[FoundObject(kind: kind, name: name)] ?? []
    }

    /// The Links and Services whose part the gateways have since one of these generations.
    func objects(since generations: ClosedRange<UInt64>) -> Set<FoundObject> {
        Set(since.lazy.filter { generations.contains($0.value) }.map(\.key))
    }

    /// Who would be told something else by this record than by `old`.
    func changes(since old: SiteRecord?) -> RecordChanges {
        guard let old, site.metadata.uid == old.site.metadata.uid, siteID == old.siteID,
            (document == nil) == (old.document == nil)
        else { return .all }
        var objects = since.difference(from: old.since)
        objects.formUnion(compiled.difference(from: old.compiled))
        objects.formUnion(findings.difference(from: old.findings))
        return .objects(objects)
    }

    /// Takes a configuration that is in the Secret now, and of which objects it was made.
    mutating func take(
        _ new: ConfigurationDocument,
        compilation: Compilation,
        links: [Link],
        services: [Service]
    ) {
        let old = document?.configuration
        let isSame = ConfigurationComparison(old, new.configuration)
        var generations: [FoundObject: UInt64] = [:]
        compiled = [:]
        for link in links {
            let object = FoundObject(kind: .link, name: link.metadata.name)
            let stays = isSame.link(object.name) ? since[object] : nil
            generations[object] = stays ?? new.generation
            compiled[object] = ObjectGeneration(link.metadata)
        }
        for service in services {
            let object = FoundObject(kind: .service, name: service.metadata.name)
            let stays = isSame.service(object.name) ? since[object] : nil
            generations[object] = stays ?? new.generation
            compiled[object] = ObjectGeneration(service.metadata)
        }
        since = generations
        if siteSince == nil || old?.ownPart != new.configuration.ownPart {
            siteSince = new.generation
        }
        document = new
        findings = Dictionary(grouping: compilation.findings, by: \.object)
        ports = compilation.ports
    }
}

/// One generation of one object: an object that was made anew under the same name begins with the first again.
struct ObjectGeneration: Hashable, Sendable {
    let uid: String?
    let generation: Int64?

    init(_ metadata: ObjectMeta) {
        uid = metadata.uid
        generation = metadata.generation
    }
}

/// Which Links and Services have to be looked at after a record changed.
enum RecordChanges: Equatable, Sendable {
    case all
    case objects(Set<FoundObject>)
}

extension Dictionary where Value: Equatable {
    /// The keys whose values differ, absent ones included.
    fileprivate func difference(from other: Self) -> Set<Key> {
        var keys: Set<Key> = []
        for (key, value) in self where other[key] != value { keys.insert(key) }
        for key in other.keys where self[key] == nil { keys.insert(key) }
        return keys
    }
}

extension SiteConfiguration {
    /// What the Site itself asks for.
    fileprivate var ownPart: Self {
        var part = self
        part.links = []
        part.services = []
        return part
    }
}

/// Everything that a compilation depends on, by version: equal inputs need not be compiled again.
struct CompilationInputs: Equatable, Sendable {
    private struct Version: Equatable {
        var generation: ObjectGeneration
        var isTerminating: Bool

        init(_ metadata: ObjectMeta) {
            generation = ObjectGeneration(metadata)
            isTerminating = metadata.isTerminating
        }
    }

    private let site: Version
    private let siteID: SiteID
    private let links: [Version]
    private let services: [Version]
    private let unreadable: [Version]
    private let ownAddresses: [String]?
    /// The Secret that was compared with.
    private let secret: String?

    init(
        site: Site,
        siteID: SiteID,
        links: [Link],
        services: [Service],
        unreadable: [Undecodable],
        ownAddresses: [String]?,
        secret: Core.Secret?
    ) {
        self.site = Version(site.metadata)
        self.siteID = siteID
        self.links = links.map { Version($0.metadata) }
        self.services = services.map { Version($0.metadata) }
        self.unreadable = unreadable.map { Version($0.metadata) }
        self.ownAddresses = ownAddresses
        self.secret = secret?.metadata.resourceVersion
    }
}

/// Which parts of two configurations are equal, by the names of their objects.
private struct ConfigurationComparison {
    private let links: (old: [String: LinkConfiguration], new: [String: LinkConfiguration])
    private let services: (old: [String: ServiceConfiguration], new: [String: ServiceConfiguration])

    init(_ old: SiteConfiguration?, _ new: SiteConfiguration) {
        func byName<Part>(_ parts: [Part], _ name: (Part) -> String) -> [String: Part] {
            Dictionary(parts.map { (name($0), $0) }) { first, _ in first }
        }
        links = (byName(old?.links ?? []) { $0.name.text }, byName(new.links) { $0.name.text })
        services = (byName(old?.services ?? [], \.name), byName(new.services, \.name))
    }

    func link(_ name: String) -> Bool { links.old[name] == links.new[name] }

    func service(_ name: String) -> Bool { services.old[name] == services.new[name] }
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
        var views: [String: SiteView] = [:]
        /// Since when a gateway serves without having answered.
        var awaited: [GatewayKey: Instant] = [:]
    }

    /// How long a gateway that serves is given to answer for the first time.
    private static let patience: Duration = .seconds(5)

    private let state = Mutex(State())

    subscript(namespace: String) -> SiteRecord? {
        get { state.withLock { $0.records[namespace] } }
        set {
            state.withLock { state in
                state.records[namespace] = newValue
                if newValue == nil { state.views[namespace] = nil }
            }
        }
    }

    /// Puts a snapshot in its place; returns the one before.
    func set(_ snapshot: ProxySnapshot?, of gateway: GatewayKey) -> ProxySnapshot? {
        state.withLock { state in
            let old = state.snapshots[gateway]
            state.snapshots[gateway] = snapshot
            state.awaited[gateway] = nil
            return old
        }
    }

    /// Takes back what a gateway told, for it does not answer any more; false when it had told nothing.
    func drop(_ gateway: GatewayKey) -> Bool {
        state.withLock { state in
            guard state.snapshots.removeValue(forKey: gateway) != nil else { return false }
            // It is not about to answer for the first time: no status waits for it.
            state.awaited[gateway] = Instant(nanoseconds: 0)
            return true
        }
    }

    /// What the gateways among `pods`, those of one namespace, say.
    ///
    /// Merged once for all who ask until a pod or a snapshot changes.
    func view(of pods: [Core.Pod], in namespace: String, at now: Instant) -> SiteView {
        let (gateways, known) = state.withLock { state in
            (pods.map { Self.gateway($0, &state, at: now) }, state.views[namespace])
        }
        if let known, known.gateways.isSame(as: gateways) { return known }
        let view = SiteView(gateways: gateways)
        state.withLock { $0.views[namespace] = view }
        return view
    }

    private static func gateway(
        _ pod: Core.Pod,
        _ state: inout State,
        at now: Instant
    ) -> GatewayView {
        let key = GatewayKey(pod: pod.key, uid: pod.metadata.uid ?? "")
        var gateway = GatewayView(
            pod: pod.metadata.name,
            address: pod.status.podIP,
            isReady: pod.status.isReady,
            isTerminating: pod.metadata.isTerminating,
            snapshot: state.snapshots[key]
        )
        if gateway.isServing, gateway.snapshot == nil {
            let since = state.awaited[key] ?? now
            state.awaited[key] = since
            gateway.isAwaited = now - since < patience
        } else {
            state.awaited[key] = nil
        }
        return gateway
    }
}

extension [GatewayView] {
    /// Equality by the versions of the snapshots, which is much cheaper than by what is in them.
    fileprivate func isSame(as others: Self) -> Bool {
        count == others.count
            && zip(self, others).allSatisfy { left, right in
                left.pod == right.pod && left.address == right.address
                    && left.isReady == right.isReady && left.isAwaited == right.isAwaited
                    && left.isTerminating == right.isTerminating
                    && left.snapshot?.proxy == right.snapshot?.proxy
                    && left.snapshot?.version == right.snapshot?.version
            }
    }
}
