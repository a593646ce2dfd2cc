import Logging
import NetworkAPI
import ProxyContract
import SiteFolder

/// Lets sites in that came by a token of this plain site: what the controller does in a cluster.
///
/// What lets a site in is one file, which is on the disk before the configuration says so. Whoever is stopped before that finds the claim
/// again when the site dials again, and whoever is stopped after it finds it done.
struct PlainJoins: Sendable {
    private let folder: GrantFolder
    private let logger: Logger

    init(_ folder: GrantFolder, _ logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// Until the task is canceled.
    func follow(_ dataPlane: any DataPlane, _ applier: SiteApplier) async {
        var version: UInt64 = 0
        var problem = LastingProblem()
        while !Task.isCancelled {
            let snapshot = await dataPlane.snapshot(after: version, limit: .seconds(2))
            version = snapshot.version
            if let claims = snapshot.claims, !claims.isEmpty {
                tell(problem.take(admit(claims, applier)))
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Returns why they cannot be let in yet.
    private func admit(_ claims: [JoinedSite], _ applier: SiteApplier) -> (any Error)? {
        var new: [JoinedSite] = []
        do {
            try folder.change { new = try $0.admit(claims) }
        } catch {
            return error
        }
        for joined in new {
            logger.notice(
                "a site came by a token and is let in",
                metadata: ["site": "\(joined.site.id)", "grant": "\(joined.grant)"]
            )
        }
        applier.readAgain()
        return nil
    }

    private func tell(_ news: LastingProblem.News?) {
        switch news {
        case .began(let text)?:
            logger.warning(
                "a site that came by a token cannot be let in yet",
                metadata: ["error": "\(text)"]
            )
        case .ended?: logger.notice("sites that come by tokens can be let in again")
        case nil: break
        }
    }
}
