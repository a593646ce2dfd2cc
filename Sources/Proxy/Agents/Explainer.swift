import Balancing
import NetworkModel
import ProxyContract
import SiteControl

/// Puts what a balancer knows into the words of `ServiceExplanation`.
struct Explainer {
    let own: ProxyID
    let names: [SiteID: SiteName]
    let now: Instant
    let wall: Timestamp

    func explain(_ service: ServicePort, _ account: SharedService.Account) -> ServiceExplanation {
        ServiceExplanation(
            proxy: own,
            site: name(own.site),
            service: service,
            time: wall,
            candidates: account.ranking.map { candidate($0, account.ways[$0.target.site]) },
            decisions: account.decisions.map(decision),
            servers: account.servers.map(server)
        )
    }

    private func name(_ site: SiteID) -> SiteName { names[site] ?? SiteName(id: site) }

    private func candidate(_ candidate: Candidate, _ ways: Ways?) -> ServiceExplanation.Candidate {
        let target = candidate.target
        let (state, reason) = candidate.condition.shown(isLastResort: target.reach.isLastResort)
        var shown = ServiceExplanation.Candidate(
            site: name(target.site),
            state: state,
            tier: candidate.tier,
            endpoints: target.reach.endpoints
        )
        shown.reason = reason
        if case .ejected(_, let until) = candidate.condition, until > now {
            shown.retryMilliseconds = (until - now).wholeNanoseconds / 1_000_000
        }
        shown.pathCost = target.reach.cost
        (shown.own, shown.others) = (candidate.own, candidate.others)
        shown.elsewhere = candidate.elsewhere > 0 ? candidate.elsewhere : nil
        shown.routes = routes(to: target.site, ways)
        guard let offer = candidate.offer else { return shown }
        shown.cost = offer.cost
        shown.weight = offer.weight
        shown.weightThousandths = offer.thousandths == 1_000 ? nil : offer.thousandths
        shown.perceived = perceived(offer.perceived)
        return shown
    }

    private func routes(to site: SiteID, _ ways: Ways?) -> [[ServiceExplanation.Hop]] {
        guard site != own.site else { return [[]] }
        return (ways?.routes ?? []).map { route in
            route.map { .init(proxy: $0, site: name($0.site)) }
        }
    }

    private func perceived(_ cost: PerceivedCost) -> ServiceExplanation.Perceived {
        .init(exact: cost.fraction, decimal: cost.decimal)
    }

    private func decision(_ decision: Decision) -> ServiceExplanation.Decision {
        .init(
            number: decision.number,
            time: wall + (decision.at - now),
            site: name(decision.site),
            seen: decision.seen.map { seen in
                .init(
                    site: name(seen.site),
                    tier: seen.tier,
                    isPreferred: seen.isPreferred,
                    cost: seen.cost,
                    open: seen.open,
                    perceived: perceived(seen.perceived)
                )
            }
        )
    }

    private func server(_ standing: EndpointBalancer.Standing) -> ServiceExplanation.Server {
        let state =
            if let fault = standing.fault {
                fault == .leadsToItself ? "LeadsToItself" : fault.failover.rawValue
            } else if standing.isReady {
                "Ready"
            } else {
                standing.isServing ? "Terminating" : "Absent"
            }
        return .init(
            endpoint: "\(standing.server)",
            state: state,
            connections: standing.open
        )
    }
}

extension ProxySnapshot {
    /// The names of the sites that serve the service port, and of the neighbors.
    func names(for service: ServicePort) -> [SiteID: SiteName] {
        var names: [SiteID: SiteName] = [:]
        for link in links { if let remote = link.remote { names[remote.id] = remote } }
        let targets = services.first { $0.service == service }?.targets ?? []
        for target in targets { names[target.site.id] = target.site }
        return names
    }
}
