package import NetworkModel
package import ProxyContract

/// What the gateways of a site say of one Link, merged.
package struct LinkView: Equatable, Sendable {
    package var gateways = 0
    /// Those of them that do not tell what they see.
    package var silent = 0
    /// Gateways over which the link is established.
    package var connected = 0
    /// `connected` when any gateway is; or else the gravest reason.
    package var reason: LinkSnapshot.Reason = .connecting
    package var message = ""
    package var remote: SiteName?
    /// The cost that every gateway routes with; nil while they differ or one has not told.
    package var cost: LinkCost?
    /// The highest cost that one of them routes with; nil while one has not told.
    package var highestCost: LinkCost?
    /// What they route single services with; nil while they differ or one has not told.
    package var serviceCosts: [ServiceAddress: LinkCost]?
    package var active: UInt64 = 0
    package var readings: [ProxyReading] = []
    /// Losses of the established link, by proxy.
    package var losses: [ProxyLosses] = []
    package var lastLoss: LinkLoss?
    package var roundTripMicroseconds: UInt64?

    /// Whether what the silent ones see could make a difference.
    package var isSilent: Bool { connected == 0 && silent > 0 }

    /// Whether no gateway can say yet what becomes of the Link: none has a lane, or has failed to get one.
    package var isDialing: Bool {
        gateways > 0 && connected == 0 && silent == 0 && reason == .connecting
    }

    package init() {}

    package init(site: SiteView, name: LinkName) {
        let snapshots = site.snapshots
        gateways = max(site.gateways.filter(\.isServing).count, snapshots.count)
        silent = gateways - snapshots.count
        let links = snapshots.compactMap { snapshot in
            snapshot.links.first { $0.name == name }.map { (proxy: snapshot.proxy, link: $0) }
        }
        for (proxy, link) in links { take(link, of: proxy) }
        guard let first = links.first?.link, links.count == gateways else { return }
        if links.allSatisfy({ $0.link.cost == first.cost }) { cost = first.cost }
        highestCost = links.map(\.link.cost).max()
        if links.allSatisfy({ $0.link.serviceCosts == first.serviceCosts }) {
            serviceCosts = first.serviceCosts
        }
    }

    private mutating func take(_ link: LinkSnapshot, of proxy: ProxyID) {
        if link.reason == .connected { connected += 1 }
        if message.isEmpty || link.reason.rank < reason.rank {
            reason = link.reason
            message = link.message
        }
        remote = remote ?? link.remote
        active = active.addingSaturated(link.active)
        readings.append(ProxyReading(proxy: proxy, opened: link.opened))
        losses.append(ProxyLosses(proxy: proxy, count: link.losses))
        if let loss = link.lastLoss, loss.time > lastLoss?.time ?? .epoch { lastLoss = loss }
        if let time = link.roundTripMicroseconds {
            roundTripMicroseconds = min(roundTripMicroseconds ?? time, time)
        }
    }
}

/// How often one gateway lost a link since it started.
package struct ProxyLosses: Equatable, Sendable {
    package var proxy: ProxyID
    package var count: UInt64

    package init(proxy: ProxyID, count: UInt64) {
        self.proxy = proxy
        self.count = count
    }
}

extension LinkSnapshot.Reason {
    /// What explains most comes first.
    fileprivate var rank: Int {
        switch self {
        case .connected: 0
        case .siteIDMismatch: 1
        case .notAllowed: 2
        case .toSelf: 3
        case .duplicateIdentity: 4
        case .certificateInvalid: 5
        case .clockSkew: 6
        case .unreachable: 7
        case .connecting: 8
        }
    }
}
