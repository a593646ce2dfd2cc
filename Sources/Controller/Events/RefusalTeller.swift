import NetworkModel

/// Which refused sites a Site is told of.
///
/// Whoever reaches the link port can make up identities without end, so there is a bound on how many are told by name;
/// then it is said once that there are others.
struct RefusalTeller: Equatable, Sendable {
    /// So many are told by name within `window`.
    static let limit = 10
    static let window: Duration = .seconds(600)
    /// A site that keeps trying is told again after this time: less than the hour for which an API server keeps Events.
    static let memory: Duration = .seconds(3000)

    struct News: Equatable {
        /// To be told by name.
        var sites: [SiteID] = []
        /// More than these; nil: none, or it was said already.
        var others: Int?
    }

    /// When each site was told of: at most `limit` in each `window` of `memory`.
    private var told: [SiteID: Instant] = [:]
    private var toldOthers: Instant?

    /// How many sites are remembered.
    var count: Int { told.count }

    mutating func take(_ refused: [SiteID], at now: Instant) -> News {
        told = told.filter { now - $0.value < Self.memory }
        if let time = toldOthers, now - time >= Self.window { toldOthers = nil }
        var news = News()
        var others: Set<SiteID> = []
        var recent = told.values.count { now - $0 < Self.window }
        for site in refused where told[site] == nil {
            guard recent < Self.limit else {
                others.insert(site)
                continue
            }
            told[site] = now
            recent += 1
            news.sites.append(site)
        }
        if !others.isEmpty, toldOthers == nil {
            toldOthers = now
            news.others = others.count
        }
        return news
    }
}
