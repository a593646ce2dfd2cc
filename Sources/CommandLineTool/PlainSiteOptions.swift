import ArgumentParser
import SiteFolder

/// A plain site on this host, in the place of a cluster.
struct PlainSiteOptions: ParsableArguments {
    @Option(help: "The manifest folder of a plain site on this host, instead of a cluster.")
    var siteDir: String?

    @Option(help: "The plain site's state folder (default: where its proxy puts it).")
    var state: String?

    func validate() throws {
        if state != nil, siteDir == nil { throw ValidationError("--state goes with --site-dir") }
    }

    /// What its proxy says of it; nil: a cluster is meant.
    func status() throws -> PlainSiteStatus? {
        try siteDir.map { try PlainSiteStatus(manifests: $0, state: state) }
    }
}

extension PlainSiteStatus {
    var grants: GrantFolder { GrantFolder(state: folder) }
    var tokens: TokenFolder { TokenFolder(state: folder) }
}
