import Certificates
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Synchronization

/// What was read of a site's objects that no store holds.
struct SiteObjects: Sendable {
    /// Of the Site that they were read for.
    let uid: String?
    let read: Instant
    var secrets = SiteSecrets()
    /// The identity, once it was read out of its Secret.
    var authority: SiteAuthority?
    /// ServiceAccount and RoleBinding.
    var children: [Child] = []
    var conflicts: [String] = []
    var waits: [String] = []

    init(uid: String?, read: Instant) {
        self.uid = uid
        self.read = read
    }
}

/// Saves the API server from being asked for the same things at each reconcile.
final class SiteCache: Sendable {
    private struct State {
        var objects: [String: SiteObjects] = [:]
        var told: [String: Instant] = [:]
    }

    /// Less than the hour for which an API server keeps Events.
    private static let memory: Duration = .seconds(3000)

    private let state = Mutex(State())

    func get(_ site: Site) -> SiteObjects? {
        state.withLock { $0.objects[site.metadata.namespace ?? ""] }
            .flatMap { $0.uid == site.metadata.uid ? $0 : nil }
    }

    func set(_ objects: SiteObjects, of namespace: String) {
        state.withLock { $0.objects[namespace] = objects }
    }

    func forget(_ namespace: String) { state.withLock { $0.objects[namespace] = nil } }

    /// True once in a while for the same Event, which repeats for as long as its cause lasts.
    func shouldTell(_ event: String, at now: Instant) -> Bool {
        state.withLock { state in
            state.told = state.told.filter { now - $0.value < Self.memory }
            guard state.told[event] == nil else { return false }
            state.told[event] = now
            return true
        }
    }
}

extension Child {
    /// Kinds that are read when needed instead of watched.
    var isUnwatched: Bool {
        switch self {
        case .serviceAccount, .roleBinding: true
        case .deployment, .service, .endpointSlice: false
        }
    }
}

extension Write {
    var isUnwatched: Bool {
        if case .apply(let child) = self { child.isUnwatched } else { false }
    }
}

extension SiteRecord {
    /// Whether Links and Services would be told the same.
    func isSame(as other: SiteRecord) -> Bool {
        site.metadata.uid == other.site.metadata.uid && siteID == other.siteID
            && document == other.document && findings == other.findings
            && compiled == other.compiled && since == other.since
    }
}

/// The key with which a site's gateways are asked for their snapshots.
enum SnapshotKey {
    /// 256 random bits in base32.
    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return Base32.encode(bytes)
    }
}
