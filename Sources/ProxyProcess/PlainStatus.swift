import KubernetesAPI
import ManifestReading
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

/// Makes the statuses of a plain site's objects out of what its one proxy observes: as the controller does it, with one
/// gateway, and the files in the place of the API server.
///
/// Pure. Each object comes with its last status, from which counters go on.
struct PlainStatus {
    let state: SiteApplier.State
    let siteID: SiteID
    let now: Timestamp
    private let view: SiteView

    init(
        state: SiteApplier.State,
        snapshot: ProxySnapshot,
        isReady: Bool,
        siteID: SiteID,
        now: Timestamp
    ) {
        self.state = state
        self.siteID = siteID
        self.now = now
        view = SiteView(
            gateways: [GatewayView(pod: "this proxy", isReady: isReady, snapshot: snapshot)]
        )
    }

    func link(_ link: Link) -> LinkStatus {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.site = SiteName(id: siteID, name: state.site?.metadata.name ?? "")
        if let name = LinkName(link.metadata.name) { facts.view = LinkView(site: view, name: name) }
        facts.isCompiled = true
        facts.isApplied = view.allApplied(state.generation)
        facts.problem = problem(.link, link)
        facts.tokenProblem = link.spec.tokenSecret.flatMap { state.tokenProblem($0.name) }
        return LinkSummary.make(link: link, facts: facts, at: now)
    }

    /// `ledger` remembers which failovers later records belong to.
    func service(_ service: Service, ledger: inout FailoverLedger) -> ServiceStatus {
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.site = SiteName(id: siteID, name: state.site?.metadata.name ?? "")
        facts.servingGateways = view.gateways.count(where: \.isServing)
        facts.isCompiled = true
        facts.isApplied = view.allApplied(state.generation)
        if let address = service.address { facts.view = ServiceView(site: view, address: address) }
        facts.problem = problem(.service, service)
        var status = ServiceSummary.make(service: service, facts: facts, at: now)
        while let step = FailoverStep.next(
            status: status,
            records: facts.view.failovers,
            ledger: &ledger
        ) {
            status = step.status
            guard step.hasMore else { break }
        }
        return status
    }

    /// An object whose file cannot be read works on as it was; what the file says of it now is unknown.
    private func problem(_ kind: ObjectKind, _ object: some NetworkObject) -> SpecProblem? {
        state.problem(of: kind, object.metadata.name).map {
            SpecProblem("the last good one stays: \($0)", isPassing: state.isUnfinished)
        }
    }

    func site(_ site: Site, links: [LinkStatus], services: [ServiceStatus]) -> SiteStatus {
        var facts = SiteFacts()
        facts.siteID = siteID
        facts.view = view
        facts.generation = state.generation
        facts.desiredGateways = 1
        facts.notServing = "the proxy is not ready yet"
        facts.links = Self.tally(links.map(\.conditions))
        facts.services = Self.tally(services.map(\.conditions))
        if !state.problems.isEmpty {
            facts.problem = SpecProblem(
                "the last good configuration stays; correct the files: "
                    + state.problems.map(\.description).joined(separator: "; "),
                isPassing: state.isUnfinished
            )
        }
        if let access = site.spec.linkAccess {
            facts.endpoints = (access.hosts ?? []).map {
                LinkEndpoint(host: $0, port: access.port ?? LinkAccess.standardPort)
            }
            facts.endpointsMissing =
                "put the names or addresses of this host into spec.linkAccess.hosts: nobody else knows them"
        }
        return SiteSummary.make(site: site, facts: facts, at: now)
    }

    private static func tally(_ conditions: [[Condition]]) -> SiteStatus.Tally {
        SiteStatus.Tally(
            total: Int32(clamping: conditions.count),
            ready: Int32(
                clamping: conditions.count { $0.isTrue(ConditionType.ready.rawValue) }
            )
        )
    }
}
