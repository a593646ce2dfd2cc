package import KubernetesAPI
package import NetworkAPI
package import NetworkModel
import SiteConfiguration

/// Everything that a Site's status is made of.
package struct SiteFacts {
    /// Why the Site is not used; nil when it is.
    package var finding: Finding?
    /// What is wrong with the spec though the site works on: with an earlier one, or with defaults in its place.
    package var problem: SpecProblem?
    package var siteID: SiteID?
    /// What the site could be beside it; nil while that is not known.
    package var otherIdentities: OtherIdentities?
    package var endpoints: [LinkEndpoint] = []
    /// Why there are no endpoints yet.
    package var endpointsMissing: String?
    package var view = SiteView()
    /// How many gateways are wanted.
    package var desiredGateways: Int32 = ProxySettings.standardReplicas
    /// What is said while no gateway serves.
    package var notServing = "no gateway is ready yet"
    /// What the rollout of the gateways' Deployment waits for, or is refused; nil when every gateway is as wanted.
    package var rollout: String?
    /// Something that the other facts rest on was written a moment ago, and they speak of what was there before.
    package var isUnseen = false
    /// From which configuration on the Site's own part of it has been as it is; nil while there is none.
    package var generation: UInt64?
    /// Foreign objects in the way of our children.
    package var conflicts: [String] = []
    /// What has a child's name and is about to go.
    package var waits: [String] = []
    /// What the API server said to a write.
    package var applyFailure: ApplyFailure?
    /// What cannot be read for a while, with since when and what to do; nothing is wrong with what was read before.
    package var unreadable: String?
    /// What could not be read just now and is needed: what the Site asks for is neither known to be there nor to be absent.
    package var readFailure: String?
    /// Why nothing can be signed for the site any more, with what to do; it goes on with what it has.
    package var lostIdentity: String?
    package var links = SiteStatus.Tally(total: 0, ready: 0)
    package var services = SiteStatus.Tally(total: 0, ready: 0)

    package init() {}
}

/// The identities of a site whose keys are kept and not used.
package struct OtherIdentities: Equatable, Sendable {
    /// Prepared.
    package var next: SiteID?
    /// From before a rotation.
    package var previous: SiteID?

    package init(next: SiteID? = nil, previous: SiteID? = nil) {
        self.next = next
        self.previous = previous
    }
}

/// Builds the status of a Site.
package enum SiteSummary {
    private static let stalls: Set<Reason> = [.conflict, .invalid, .identityLost]

    package static func make(site: Site, facts: SiteFacts, at now: Timestamp) -> SiteStatus {
        // What was counted goes on from there, whatever becomes of the Site meanwhile.
        var status = SiteStatus()
        status.siteID = site.status.siteID
        status.nextSiteID = site.status.nextSiteID
        status.previousSiteID = site.status.previousSiteID
        status.connections = site.status.connections
        status.cursors = site.status.cursors
        var writer = ConditionWriter(of: site, at: now)
        status.observedGeneration = site.metadata.generation
        setInformed(&writer, facts)
        if let finding = facts.finding {
            writer.set(.accepted, .no, finding.reason, finding.message)
            writer.remove(.programmed)
            writer.remove(.reachable)
            writer.summarize([.accepted], stalls: stalls)
            status.take(writer.conditions)
            return status
        }
        writer.setAccepted(facts.problem)
        setProgrammed(&writer, site: site, facts: facts)
        let isReachable = setReachable(&writer, site: site, facts: facts)
        writer.summarize(
            isReachable == false
                ? [.accepted, .programmed, .reachable] : [.accepted, .programmed],
            stalls: stalls
        )
        status.take(writer.conditions)
        fill(&status, site: site, facts: facts)
        return status
    }

    /// Never a reason not to be Ready: what is unknown is not gone.
    private static func setInformed(_ writer: inout ConditionWriter, _ facts: SiteFacts) {
        if let problem = facts.unreadable ?? facts.readFailure {
            let message = "\(problem); what was read last holds"
            writer.set(.informed, .no, .cannotRead, message)
        } else {
            writer.remove(.informed)
        }
    }

    private static func setProgrammed(
        _ writer: inout ConditionWriter,
        site: Site,
        facts: SiteFacts
    ) {
        let serving = facts.view.gateways.filter(\.isServing)
        if let problem = facts.lostIdentity {
            writer.set(.programmed, .no, .identityLost, problem)
        } else if !facts.conflicts.isEmpty {
            writer.set(.programmed, .no, .conflict, facts.conflicts.joined(separator: "; "))
        } else if let failure = facts.applyFailure {
            writer.set(.programmed, .no, failure.reason, failure.message)
        } else if let wait = facts.waits.first {
            writer.set(.programmed, .no, .progressing, wait)
        } else if serving.isEmpty {
            let message =
                facts.desiredGateways == 0
                ? "spec.proxy.replicas is 0: no gateway runs" : facts.rollout ?? facts.notServing
            writer.set(.programmed, .no, .proxiesNotReady, message)
        } else if let problem = serving.lazy.compactMap({ gateway in
            // One of a former identity is not told anything any more, and about to go.
            gateway.isOf(facts.siteID)
                ? gateway.snapshot?.configurationError.map { "\(gateway.pod): \($0)" } : nil
        }).first {
            writer.set(.programmed, .no, .invalid, problem)
        } else if let failure = linkPortFailure(facts) {
            writer.set(.programmed, .no, .listenFailed, failure)
        } else if let rollout = facts.rollout {
            writer.set(.programmed, .no, .progressing, rollout)
        } else if facts.isUnseen {
            writer.set(
                .programmed,
                .no,
                .progressing,
                "waiting for the cluster to apply what the Site asks for"
            )
        } else if let failure = facts.readFailure {
            // What was programmed for this generation is so still, for all that is known.
            guard !writer.holds(.programmed) else { return }
            writer.set(.programmed, .unknown, .cannotRead, failure)
        } else if let generation = facts.generation, facts.view.allApplied(generation) {
            writer.set(.programmed, .yes, .programmed, shortages(serving))
        } else if let silent = serving.first(where: { $0.snapshot == nil }) {
            writer.set(
                .programmed,
                .unknown,
                .proxiesSilent,
                "\(silent.pod) does not tell what it does: the controller must reach its port 5673"
            )
        } else {
            writer.set(.programmed, .no, .progressing, ConditionWriter.awaitingProxies)
        }
    }

    /// What hosts of gateways are short of: no fault of the configuration, but connections wait.
    private static func shortages(_ gateways: [GatewayView]) -> String {
        gateways.flatMap { gateway in
            (gateway.snapshot?.shortages ?? []).map { "\(gateway.pod): \($0)" }
        }.joined(separator: "; ")
    }

    /// Returns nil for a Site that only dials out: it is Ready without.
    private static func setReachable(
        _ writer: inout ConditionWriter,
        site: Site,
        facts: SiteFacts
    ) -> Bool? {
        guard site.spec.linkAccess != nil else {
            writer.set(
                .reachable,
                .no,
                .dialsOnly,
                "spec.linkAccess is not set: this site dials others and is not dialed"
            )
            return nil
        }
        guard !facts.isUnseen else {
            writer.keepUntilApplied(.reachable)
            return nil
        }
        guard !facts.endpoints.isEmpty else {
            writer.set(.reachable, .no, .addressPending, facts.endpointsMissing ?? "")
            return false
        }
        if let failure = linkPortFailure(facts) {
            writer.set(.reachable, .no, .listenFailed, failure)
            return false
        }
        writer.set(.reachable, .yes, .reachable)
        return true
    }

    /// Why a serving gateway takes no links, with the port; nil when all do.
    private static func linkPortFailure(_ facts: SiteFacts) -> String? {
        facts.view.gateways.lazy.filter(\.isServing)
            .compactMap { gateway in
                gateway.snapshot?.linkPortError.map {
                    "\(gateway.pod) cannot listen for links at \($0)"
                }
            }
            .first
    }

    private static func fill(_ status: inout SiteStatus, site: Site, facts: SiteFacts) {
        // An identity that cannot be read is not one that the site does not have.
        status.siteID = facts.siteID ?? site.status.siteID
        if let others = facts.otherIdentities {
            status.nextSiteID = others.next
            status.previousSiteID = others.previous
        }
        status.endpoints = facts.endpoints
        status.links = facts.links
        status.services = facts.services
        let proxies = facts.view.proxies
        status.proxies = SiteStatus.Proxies(
            desired: facts.desiredGateways,
            ready: Int32(clamping: facts.view.gateways.count(where: \.isServing)),
            sidecars: Int32(clamping: proxies.count(where: \.isSidecar))
        )
        var ledger = CounterLedger(cursors: site.status.cursors)
        ledger.count(
            proxies.map { proxy in
                ProxyReading(
                    proxy: proxy.proxy,
                    opened: proxy.counters.saturatedSum(\.opened)
                )
            }
        )
        let active = proxies.saturatedSum { $0.counters.saturatedSum(\.active) }
        status.connections = ConnectionCounts(
            active: Int64(clamping: active),
            opened: (site.status.connections?.opened ?? 0).addingSaturated(ledger.opened)
        )
        status.cursors = ledger.cursors
    }
}

extension GatewayView {
    /// Whether it says that it is of that site; what is not known counts as yes.
    fileprivate func isOf(_ site: SiteID?) -> Bool {
        guard let site, let snapshot else { return true }
        return snapshot.proxy.site == site
    }
}
