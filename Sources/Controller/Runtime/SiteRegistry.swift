import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Synchronization

/// What is known of the Site of one namespace beside the stores: how far the controller has brought it.
struct SiteRecord: Sendable {
    /// The Site that the namespace belongs to.
    var site: Site
    var siteID: SiteID?
    /// Why Links cannot use their tokens, by the names of the Secrets.
    var tokenProblems: [String: String] = [:]
    /// What the gateways were told last; the services are in `services`, wherever they were told of.
    private(set) var head: ConfigurationHead?
    /// What the gateways were told of each Service, by the name of its object.
    private var services: [String: ServiceConfiguration] = [:]
    private var findings: [FoundObject: [Finding]] = [:]
    /// Which generation of each object is in the configuration.
    private(set) var compiled: [FoundObject: ObjectGeneration] = [:]
    /// From which generation of the configuration on an object's part of it has been as it is.
    private var since: [FoundObject: UInt64] = [:]
    /// The same the other way round.
    private var objectsSince: [UInt64: Set<FoundObject>] = [:]
    /// The same of the Site's own part, beside Links and Services.
    private(set) var siteSince: UInt64?
    /// Which ports of the gateways belong to whom.
    private(set) var ports = ListenerPorts()
    /// Of which objects something may be different since this copy was made.
    private var touched: Set<FoundObject> = []

    init(site: Site) { self.site = site }

    /// Whether `findings` and `services` speak of the object as it is now.
    func hasCompiled(_ object: some NetworkObject, _ kind: ObjectKind) -> Bool {
        let name = FoundObject(kind: kind, name: object.metadata.name)
        return compiled[name] == ObjectGeneration(object.metadata)
    }

    /// The configuration's generation that carries the object as it is now; nil while none does.
    func generation(of object: some NetworkObject, _ kind: ObjectKind) -> UInt64? {
        guard hasCompiled(object, kind) else { return nil }
        return since[FoundObject(kind: kind, name: object.metadata.name)]
    }

    func service(_ name: String) -> ServiceConfiguration? { services[name] }

    var allServices: [ServiceConfiguration] { Array(services.values) }

    /// The names of all Services that this record says something of.
    var serviceNames: [String] {
        compiled.keys.filter { $0.kind == .service }.map(\.name) + services.keys
    }

    /// What is wrong with an object, as far as its compilation showed.
    func findings(of kind: ObjectKind, _ name: String) -> [Finding] {
        findings[FoundObject(kind: kind, name: name)] ?? []
    }

    /// The Links and Services whose part the gateways have since one of these generations.
    func objects(since generations: ClosedRange<UInt64>) -> Set<FoundObject> {
        var objects: Set<FoundObject> = []
        if generations.count <= objectsSince.count {
            for generation in generations { objects.formUnion(objectsSince[generation] ?? []) }
        } else {
            for (generation, those) in objectsSince where generations.contains(generation) {
                objects.formUnion(those)
            }
        }
        return objects
    }

    /// Who would be told something else by this record than by `old`, which it was made from.
    func changes(since old: SiteRecord?) -> RecordChanges {
        guard let old, site.metadata.uid == old.site.metadata.uid, siteID == old.siteID,
            (head == nil) == (old.head == nil)
        else { return .all }
        return .objects(
            touched.filter {
                since[$0] != old.since[$0] || compiled[$0] != old.compiled[$0]
                    || findings[$0] != old.findings[$0]
            }
        )
    }

    /// Begins to note of which objects something becomes different.
    mutating func beginChanges() { touched = [] }

    /// Takes over what gateways were told by an earlier process: what stays as it is was told no later than that.
    mutating func restore(_ head: ConfigurationHead, services list: [ServiceConfiguration]) {
        self.head = head
        services = Dictionary(list.map { ($0.name, $0) }) { first, _ in first }
        ports = ListenerPorts(record: list)
        siteSince = head.generation
        let told =
            list.map { FoundObject(kind: .service, name: $0.name) }
            + head.configuration.links.map { FoundObject(kind: .link, name: $0.name.text) }
        for object in told { set(since: head.generation, of: object) }
    }

    /// Takes a configuration that is in the Secrets now.
    ///
    /// `looked`: the Services that were looked for, nil where there is none; `changed`: those of which something may be
    /// different, for they are in the way of others; `links`: all of them, when they were looked at.
    mutating func take(
        _ new: ConfigurationHead,
        _ compilation: SiteCompilation,
        services looked: [String: Service?],
        changed: Set<String>,
        links: [Link]?
    ) {
        for (name, service) in looked {
            let object = FoundObject(kind: .service, name: name)
            compiled[object] = (service?.metadata).map(ObjectGeneration.init)
            take(service: name, compilation, new.generation, isThere: service != nil)
        }
        for name in changed where looked[name] == nil {
            let object = FoundObject(kind: .service, name: name)
            take(service: name, compilation, new.generation, isThere: compiled[object] != nil)
        }
        if let links { take(links, new, compilation) }
        let own = new.configuration.ownPart
        if siteSince == nil || head?.configuration.ownPart != own { siteSince = new.generation }
        head = new
        ports = compilation.ports
    }

    private mutating func take(
        service name: String,
        _ compilation: SiteCompilation,
        _ generation: UInt64,
        isThere: Bool
    ) {
        let object = FoundObject(kind: .service, name: name)
        let part = compilation.service(name)
        let stays = part == services[name] ? since[object] : nil
        set(since: isThere ? stays ?? generation : nil, of: object)
        services[name] = part
        let found = compilation.findings(of: name)
        findings[object] = found.isEmpty ? nil : found
    }

    private mutating func take(
        _ links: [Link],
        _ new: ConfigurationHead,
        _ compilation: SiteCompilation
    ) {
        func byName(_ links: [LinkConfiguration]) -> [String: LinkConfiguration] {
            Dictionary(links.map { ($0.name.text, $0) }) { first, _ in first }
        }
        let (before, after) = (
            byName(head?.configuration.links ?? []), byName(new.configuration.links)
        )
        let there = Set(links.map { FoundObject(kind: .link, name: $0.metadata.name) })
        for object in since.keys where object.kind == .link && !there.contains(object) {
            compiled[object] = nil
            set(since: nil, of: object)
        }
        for link in links {
            let object = FoundObject(kind: .link, name: link.metadata.name)
            let stays = before[object.name] == after[object.name] ? since[object] : nil
            set(since: stays ?? new.generation, of: object)
            compiled[object] = ObjectGeneration(link.metadata)
        }
        for object in findings.keys where object.kind != .service {
            findings[object] = nil
            touched.insert(object)
        }
        for (object, found) in Dictionary(grouping: compilation.frameFindings, by: \.object) {
            findings[object] = found
            touched.insert(object)
        }
    }

    private mutating func set(since generation: UInt64?, of object: FoundObject) {
        touched.insert(object)
        guard since[object] != generation else { return }
        if let old = since[object] {
            objectsSince[old]?.remove(object)
            if objectsSince[old]?.isEmpty == true { objectsSince[old] = nil }
        }
        since[object] = generation
        if let generation { objectsSince[generation, default: []].insert(object) }
    }
}

/// One generation of one object: an object that was made again under the same name begins with the first again.
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

extension SiteConfiguration {
    /// What the Site itself asks for.
    fileprivate var ownPart: Self {
        var part = self
        part.links = []
        part.services = []
        return part
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
                let couldAsk = state.records[namespace]?.head != nil
                state.records[namespace] = newValue
                if newValue == nil { state.views[namespace] = nil }
                // Without the key in it nobody could ask the gateways: their time to answer begins now.
                guard !couldAsk, newValue?.head != nil else { return }
                state.awaited = state.awaited.filter { $0.key.pod.namespace != namespace }
            }
        }
    }

    /// Those that have a Site.
    var namespaces: [String] { state.withLock { Array($0.records.keys) } }

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
            addresses: pod.status.addresses,
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
                left.pod == right.pod && left.addresses == right.addresses
                    && left.isReady == right.isReady && left.isAwaited == right.isAwaited
                    && left.isTerminating == right.isTerminating
                    && left.snapshot?.proxy == right.snapshot?.proxy
                    && left.snapshot?.version == right.snapshot?.version
            }
    }
}
