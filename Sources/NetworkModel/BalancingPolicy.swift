/// How one site spreads the connections of a service over its targets: what `Service.spec.balancing` and `fromSites` ask for.
///
/// Sites are identities here; a site that no member names has what routing says. It is this site's own word: no other site
/// hears of it.
package struct BalancingPolicy: Hashable, Sendable {
    /// By path cost and ready endpoints alone.
    package static let standard = BalancingPolicy()

    /// What open connections are divided by.
    package enum WeightBy: String, Hashable, Sendable, CaseIterable {
        /// The ready endpoints of the target.
        case endpoints = "Endpoints"
        /// 1: each site counts as one server, however many it has.
        case site = "Site"
    }

    /// Whose open connections count.
    package enum LoadFrom: String, Hashable, Sendable, CaseIterable {
        /// Those of this site.
        case thisSite = "ThisSite"
        /// Those of all sites, as the sites with the servers report them.
        case allSites = "AllSites"
    }

    package static let weightRange: ClosedRange<Int32> = 0...1_000
    package static let costRange: ClosedRange<Int32> = 0...1_000_000_000
    package static let minimumRange: ClosedRange<Int32> = 1...10_000
    package static let slowStartRange: ClosedRange<Duration> = .zero ... .seconds(3_600)

    package var weightBy: WeightBy
    /// Of these sites this is the weight, whatever `weightBy` and the endpoints say; 0: never used.
    package var weights: [SiteID: UInt32]
    /// Of these sites this is the cost, whatever the path to them costs.
    package var costs: [SiteID: PathCost]
    /// The first tier with a usable target takes all; sites that are not named come last.
    package var tiers: [[SiteID]]
    /// A site with fewer ready endpoints is not used; at least 1.
    package var minReadyEndpoints: UInt32
    /// The weight of a target that returns rises over this time, from a tenth; zero: it has its whole weight at once.
    package var slowStart: Duration
    /// Only servers at these sites are used; nil: at all.
    package var sites: Set<SiteID>?
    /// Of a site with servers also: whether it reports their connections to others.
    package var loadFrom: LoadFrom

    package init(
        weightBy: WeightBy = .endpoints,
        weights: [SiteID: UInt32] = [:],
        costs: [SiteID: PathCost] = [:],
        tiers: [[SiteID]] = [],
        minReadyEndpoints: UInt32 = 1,
        slowStart: Duration = .zero,
        sites: Set<SiteID>? = nil,
        loadFrom: LoadFrom = .thisSite
    ) {
        self.weightBy = weightBy
        self.weights = weights
        self.costs = costs
        self.tiers = tiers
        self.minReadyEndpoints = minReadyEndpoints
        self.slowStart = slowStart
        self.sites = sites
        self.loadFrom = loadFrom
    }

    /// The number of the tier that the site belongs to.
    package func tier(of site: SiteID) -> Int {
        tiers.firstIndex { $0.contains(site) } ?? tiers.count
    }
}

/// Why a policy keeps a target from being used, though it takes connections.
package enum PolicyExclusion: String, Hashable, Sendable, CaseIterable {
    /// `fromSites`, or the sites that this Site trusts, do not name it.
    case notSelected = "NotSelected"
    /// Its weight is 0.
    case noWeight = "NoWeight"
    /// It has fewer ready endpoints than `minReadyEndpoints`.
    case tooFewEndpoints = "TooFewEndpoints"
}
