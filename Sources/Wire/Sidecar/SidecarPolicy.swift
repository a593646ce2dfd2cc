package import NetworkModel

/// How a sidecar spreads the connections of one service port: a policy as far as it concerns the targets of a table.
///
/// Not told to sidecars of a minor version below `Hello.policyMinor`: those go by path costs and endpoints.
package struct SidecarPolicy: Hashable, Sendable {
    /// What the policy says of one target.
    package struct Site: Hashable, Sendable {
        package var site: SiteID
        package var weight: UInt32?
        package var cost: PathCost?
        /// Nil: no tier names it, and it comes last.
        package var tier: UInt16?
        package var isUsed: Bool

        package init(_ site: SiteID, of policy: BalancingPolicy) {
            self.site = site
            weight = policy.weights[site]
            cost = policy.costs[site]
            tier = policy.tiers.firstIndex { $0.contains(site) }.map { UInt16(clamping: $0) }
            isUsed = policy.sites?.contains(site) ?? true
        }

        private enum Has {
            static let weight: UInt8 = 1
            static let cost: UInt8 = 2
            static let tier: UInt8 = 4
            static let use: UInt8 = 8
        }

        func encode(into writer: inout FrameWriter) {
            writer.siteID(site)
            writer.uint8(
                (weight == nil ? 0 : Has.weight) | (cost == nil ? 0 : Has.cost)
                    | (tier == nil ? 0 : Has.tier) | (isUsed ? Has.use : 0)
            )
            writer.uint32(weight ?? 0)
            writer.uint32(cost?.value ?? 0)
            writer.uint16(tier ?? 0)
        }

        init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
            site = try reader.siteID(payload)
            let has = try reader.uint8(payload)
            let (number, cost) = (try reader.uint32(payload), try reader.uint32(payload))
            let place = try reader.uint16(payload)
            weight = has & Has.weight != 0 ? number : nil
            self.cost = has & Has.cost != 0 ? PathCost(cost) : nil
            tier = has & Has.tier != 0 ? place : nil
            isUsed = has & Has.use != 0
        }
    }

    package var service: ServicePort
    package var weightBy: BalancingPolicy.WeightBy
    package var minReadyEndpoints: UInt32
    package var slowStart: Duration
    package var sites: [Site]

    /// As far as it concerns `targets`; nil for the standard policy, which need not be told.
    package init?(_ policy: BalancingPolicy, of service: ServicePort, for targets: [SiteID]) {
        guard policy != .standard else { return nil }
        self.service = service
        weightBy = policy.weightBy
        minReadyEndpoints = policy.minReadyEndpoints
        slowStart = policy.slowStart
        sites = targets.map { Site($0, of: policy) }
    }

    /// The policy over the targets that it names.
    package var policy: BalancingPolicy {
        var policy = BalancingPolicy(
            weightBy: weightBy,
            minReadyEndpoints: minReadyEndpoints,
            slowStart: slowStart,
            sites: sites.allSatisfy(\.isUsed) ? nil : Set(sites.filter(\.isUsed).map(\.site))
        )
        let last = sites.compactMap(\.tier).max().map { Int($0) + 1 } ?? 0
        policy.tiers = Array(repeating: [], count: last)
        for site in sites {
            policy.weights[site.site] = site.weight
            policy.costs[site.site] = site.cost
            if let tier = site.tier { policy.tiers[Int(tier)].append(site.site) }
        }
        return policy
    }

    /// What another gateway says of further targets of the same service.
    package mutating func add(_ other: SidecarPolicy) {
        let known = Set(sites.map(\.site))
        sites += other.sites.filter { !known.contains($0.site) }
    }

    /// The policy without its targets.
    var head: SidecarPolicy {
        var head = self
        head.sites = []
        return head
    }

    func encode(into writer: inout FrameWriter) {
        writer.servicePort(service)
        writer.flag(weightBy == .site)
        writer.uint32(minReadyEndpoints)
        writer.duration(slowStart)
        writer.count16(sites.count)
        for site in sites { site.encode(into: &writer) }
    }

    init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        service = try reader.servicePort(payload)
        weightBy = try reader.flag(payload) ? .site : .endpoints
        minReadyEndpoints = try reader.uint32(payload)
        slowStart = try reader.duration(payload)
        sites = []
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            sites.append(try Site(reading: &reader, payload))
        }
    }
}
