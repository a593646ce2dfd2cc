import Certificates
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Synchronization

/// What was read of a site's Secrets.
struct SiteObjects: Sendable {
    /// Of the Site that they were read for.
    let uid: String?
    /// The name of the Secret with the identity.
    let authorityName: String
    /// When those were read that the server tells nothing of.
    var read: Instant
    var secrets = SiteSecrets()
    /// The names of those that were looked for.
    var sought: Set<String> = []
    /// Why those cannot be read that need a right of their own, by name.
    var unread: [String: String] = [:]
    /// The identity, once it was read out of its Secret.
    var authority: SiteAuthority?
    /// What was read out of the leaves.
    var leaves: [ProxyRole: LeafReading] = [:]

    init(of site: Site, read: Instant) {
        uid = site.metadata.uid
        authorityName = site.authoritySecret
        self.read = read
    }

    func isOf(_ site: Site) -> Bool {
        uid == site.metadata.uid && authorityName == site.authoritySecret
    }
}

/// Saves the API server from being asked for the same things at each reconcile.
final class SiteCache: Sendable {
    private struct State {
        var objects: [String: SiteObjects] = [:]
        /// By the UID of the Site.
        var refusals: [String: (teller: RefusalTeller, last: Instant)] = [:]
    }

    private let state = Mutex(State())

    func get(_ site: Site) -> SiteObjects? {
        state.withLock { $0.objects[site.metadata.namespace ?? ""] }
            .flatMap { $0.isOf(site) ? $0 : nil }
    }

    func set(_ objects: SiteObjects, of namespace: String) {
        state.withLock { $0.objects[namespace] = objects }
    }

    func forget(_ namespace: String) { state.withLock { $0.objects[namespace] = nil } }

    /// Which of the sites that `site` refused are news.
    func news(of refused: [SiteID], at site: Site, at now: Instant) -> RefusalTeller.News {
        guard let uid = site.metadata.uid, !refused.isEmpty else { return RefusalTeller.News() }
        return state.withLock { state in
            state.refusals = state.refusals.filter { now - $0.value.last < RefusalTeller.memory }
            var teller = state.refusals[uid]?.teller ?? RefusalTeller()
            let news = teller.take(refused, at: now)
            state.refusals[uid] = (teller, now)
            return news
        }
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
