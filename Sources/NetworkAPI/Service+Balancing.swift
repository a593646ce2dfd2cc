package import NetworkModel

extension ServiceSpec {
    /// How connections are spread over the sites that serve; a site is a SiteID, or a name that this Site binds.
    package struct Balancing: Hashable, Sendable, Codable {
        /// Absent: `Endpoints`.
        package var weightBy: BalancingPolicy.WeightBy?
        package var weights: [SiteWeight]?
        package var costs: [SiteCost]?
        /// The first tier with a usable target takes all; sites that are not named come last.
        package var tiers: [Tier]?
        /// A site with fewer ready endpoints is not used; absent: 1.
        package var minReadyEndpoints: Int32?
        /// Over this time the weight of a site that returns rises from a tenth; absent: 0s.
        package var slowStart: APIDuration?
        /// Whose open connections count; absent: `ThisSite`.
        package var loadFrom: BalancingPolicy.LoadFrom?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case weightBy, weights, costs, tiers, minReadyEndpoints, slowStart, loadFrom
        }

        package init() {}
    }

    /// What open connections to a site are divided by.
    package struct SiteWeight: Hashable, Sendable, Codable {
        package var site: String
        /// 0: the site is never used.
        package var weight: Int32

        package enum CodingKeys: String, CodingKey, CaseIterable { case site, weight }

        package init(site: String, weight: Int32) {
            self.site = site
            self.weight = weight
        }
    }

    /// The cost of a site, in place of its path's.
    package struct SiteCost: Hashable, Sendable, Codable {
        package var site: String
        package var cost: Int32

        package enum CodingKeys: String, CodingKey, CaseIterable { case site, cost }

        package init(site: String, cost: Int32) {
            self.site = site
            self.cost = cost
        }
    }

    /// Sites that are used while no earlier tier has a usable target.
    package struct Tier: Hashable, Sendable, Codable {
        package var sites: [String]

        package enum CodingKeys: String, CodingKey, CaseIterable { case sites }

        package init(sites: [String]) { self.sites = sites }
    }
}

extension BalancingPolicy.WeightBy: Codable {}
extension BalancingPolicy.LoadFrom: Codable {}

extension Service {
    /// Whether it means something else when the Site says `new` of the sites instead of `old`.
    func depends(on old: SiteBook, _ new: SiteBook) -> Bool {
        if spec.fromSites == nil, old.trusted != new.trusted { return true }
        let provides = spec.selector != nil || spec.hosts != nil
        if provides, spec.allowedSites == nil, old.exportsToAll != new.exportsToAll { return true }
        return namedSites.contains { old.site($0) != new.site($0) }
    }

    /// All sites that it names.
    private var namedSites: [String] {
        let balancing = spec.balancing
        var names = (spec.fromSites ?? []) + (spec.allowedSites ?? [])
        names += (balancing?.weights ?? []).map(\.site) + (balancing?.costs ?? []).map(\.site)
        return names + (balancing?.tiers ?? []).flatMap(\.sites)
    }

    /// How this site uses the sites that serve; nil: by path costs and ready endpoints alone.
    func policy(_ book: SiteBook, _ findings: inout Findings) -> BalancingPolicy? {
        var policy = BalancingPolicy.standard
        if let balancing = spec.balancing { take(balancing, into: &policy, book, &findings) }
        policy.sites = usedSites(book, &findings)
        return policy == .standard ? nil : policy
    }

    private func usedSites(_ book: SiteBook, _ findings: inout Findings) -> Set<SiteID>? {
        guard let names = spec.fromSites else { return book.trusted }
        if names.isEmpty || names.count > Bounds.sites {
            findings.add(
                "spec.fromSites",
                "fromSites must list 1 to \(Bounds.sites) sites; leave it out to use the servers of all"
            )
        }
        return Set(findings.resolve(names, "spec.fromSites", book))
    }

    private func take(
        _ balancing: ServiceSpec.Balancing,
        into policy: inout BalancingPolicy,
        _ book: SiteBook,
        _ findings: inout Findings
    ) {
        let field = "spec.balancing"
        policy.weightBy = balancing.weightBy ?? .endpoints
        policy.loadFrom = balancing.loadFrom ?? .thisSite
        let weights = (balancing.weights ?? []).map { (site: $0.site, value: $0.weight) }
        policy.weights = findings.numbers(
            weights,
            in: BalancingPolicy.weightRange,
            ("\(field).weights", "weight"),
            book
        )
        let costs = (balancing.costs ?? []).map { (site: $0.site, value: $0.cost) }
        policy.costs = findings.numbers(
            costs,
            in: BalancingPolicy.costRange,
            ("\(field).costs", "cost"),
            book
        )
        .mapValues { PathCost($0) }
        policy.tiers = tiers(balancing.tiers ?? [], book, &findings)
        policy.minReadyEndpoints = UInt32(
            findings.check(
                balancing.minReadyEndpoints,
                in: BalancingPolicy.minimumRange,
                else: 1,
                "\(field).minReadyEndpoints"
            )
        )
        policy.slowStart = findings.check(
            balancing.slowStart,
            in: BalancingPolicy.slowStartRange,
            else: .zero,
            "\(field).slowStart"
        )
    }

    private func tiers(
        _ tiers: [ServiceSpec.Tier],
        _ book: SiteBook,
        _ findings: inout Findings
    ) -> [[SiteID]] {
        if tiers.count > Bounds.tiers {
            findings.add("spec.balancing.tiers", "at most \(Bounds.tiers) tiers can be told apart")
        }
        var places: [SiteID: Int] = [:]
        return tiers.enumerated().map { index, tier in
            let field = "spec.balancing.tiers[\(index)].sites"
            let sites = findings.resolve(tier.sites, field, book)
            if sites.isEmpty, findings.list.isEmpty {
                findings.add(field, "a tier needs at least one site; remove it, or name its sites")
            }
            for site in sites {
                guard let other = places.updateValue(index, forKey: site), other != index else {
                    continue
                }
                findings.add(
                    field,
                    "\(book.text(of: site)) is in tier \(other) and in tier \(index); "
                        + "remove it from one"
                )
            }
            return sites.sorted()
        }
    }
}

extension Findings {
    /// A number for each site; one that is out of bounds, or a site that is named twice, is a finding.
    fileprivate mutating func numbers(
        _ entries: [(site: String, value: Int32)],
        in range: ClosedRange<Int32>,
        _ name: (list: String, number: String),
        _ book: SiteBook
    ) -> [SiteID: UInt32] {
        if entries.count > Bounds.sites {
            add(name.list, "\(name.list) takes at most \(Bounds.sites) sites")
        }
        var numbers: [SiteID: UInt32] = [:]
        for (index, entry) in entries.enumerated() {
            let field = "\(name.list)[\(index)]"
            let value = check(
                entry.value,
                in: range,
                else: range.lowerBound,
                "\(field).\(name.number)"
            )
            guard let site = resolve(entry.site, "\(field).site", book) else { continue }
            if numbers.updateValue(UInt32(value), forKey: site) != nil {
                add("\(field).site", "\(book.text(of: site)) is listed twice; remove one entry")
            }
        }
        return numbers
    }
}
