import KubernetesAPI
package import NetworkAPI
package import NetworkModel
import ProxyContract

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
    /// Why nothing can be signed for the site; it goes on with what it has.
    package var identityProblem: IdentityProblem?
    /// When the certificates end; nil while that is not known.
    package var certificates: SiteStatus.Certificates?
    /// Which certificates end soon, with what to do.
    package var expiring: [String] = []
    /// Pods that asked for a sidecar and have none.
    package var lackingSidecars = 0
    package var links = SiteStatus.Tally(total: 0, ready: 0)
    package var services = SiteStatus.Tally(total: 0, ready: 0)

    package init() {}
}

/// Why nothing can be signed for a site, with what to do.
package struct IdentityProblem: Equatable, Sendable {
    package var reason: Reason
    package var message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
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
    private static let stalls: Set<Reason> = [
        .conflict, .invalid, .unknownSite, .identityLost, .identityMismatch, .certificateInvalid,
    ]

    package static func make(site: Site, facts: SiteFacts, at now: Timestamp) -> SiteStatus {
        // What was counted goes on from there, whatever becomes of the Site meanwhile.
        var status = SiteStatus()
        status.siteID = site.status.siteID
        status.nextSiteID = site.status.nextSiteID
        status.previousSiteID = site.status.previousSiteID
        status.certificates = facts.certificates ?? site.status.certificates
        status.connections = site.status.connections
        status.cursors = site.status.cursors
        var writer = ConditionWriter(of: site, at: now)
        status.observedGeneration = site.metadata.generation
        let judged = Judged(site: site, facts: facts, wasProgrammed: writer.holds(.programmed))
        writer.set(.informed, by: informed, of: judged)
        writer.set(.certificatesCurrent, by: certificatesCurrent, of: judged)
        if let finding = facts.finding {
            writer.set(.accepted, .no, finding.reason, finding.message)
            writer.remove(.programmed)
            writer.remove(.reachable)
            writer.summarize([.accepted], stalls: stalls)
            status.take(writer.conditions)
            return status
        }
        writer.setAccepted(facts.problem)
        writer.set(.programmed, by: programmed, of: judged)
        writer.set(.reachable, by: reachable, of: judged)
        // A site that only dials out is Ready without.
        let isMissed = site.spec.linkAccess != nil && !facts.isUnseen
        writer.summarize(
            isMissed ? [.accepted, .programmed, .reachable] : [.accepted, .programmed],
            stalls: stalls
        )
        status.take(writer.conditions)
        fill(&status, site: site, facts: facts)
        return status
    }

    private typealias Rule = ConditionRule<Judged>

    /// What the rules look at.
    private struct Judged {
        let site: Site
        let facts: SiteFacts
        /// Whether what is stored as Programmed is true of this generation.
        let wasProgrammed: Bool

        var serving: [GatewayView] { facts.view.gateways.filter(\.isServing) }
    }

    private static let programmed: [Rule] = [
        Rule { $0.facts.identityProblem.map { .set(.no, $0.reason, $0.message) } },
        .no(.conflict) {
            $0.facts.conflicts.isEmpty ? nil : $0.facts.conflicts.joined(separator: "; ")
        },
        Rule { $0.facts.applyFailure.map { .set(.no, $0.reason, $0.message) } },
        .no(.progressing) { $0.facts.waits.first },
        .no(.proxiesNotReady) { judged in
            guard judged.serving.isEmpty else { return nil }
            return judged.facts.desiredGateways == 0
                ? "spec.proxy.replicas is 0: no gateway runs"
                : judged.facts.rollout ?? judged.facts.notServing
        },
        .no(.invalid, configurationError),
        .no(.listenFailed) { linkPortFailure($0.facts) },
        .no(.progressing) { $0.facts.rollout },
        .no(.progressing) {
            $0.facts.isUnseen ? "waiting for the cluster to apply what the Site asks for" : nil
        },
        // What was programmed for this generation is so still, for all that is known.
        Rule { $0.facts.readFailure != nil && $0.wasProgrammed ? .keep : nil },
        .unknown(.cannotRead) { $0.facts.readFailure },
        .yes(.programmed) { judged in
            guard let generation = judged.facts.generation,
                judged.facts.view.allApplied(generation)
            else { return nil }
            return shortages(judged.serving)
        },
        .unknown(.proxiesSilent) { judged in
            judged.serving.first { $0.snapshot == nil }.map {
                "\($0.pod) does not tell what it does: the controller must reach its port 5673"
            }
        },
        .no(.progressing) { _ in ConditionWriter.awaitingProxies },
    ]

    private static let reachable: [Rule] = [
        .no(.dialsOnly) {
            $0.site.spec.linkAccess == nil
                ? "spec.linkAccess is not set: this site dials others and is not dialed" : nil
        },
        Rule { $0.facts.isUnseen ? .keepUntilApplied : nil },
        .no(.addressPending) {
            $0.facts.endpoints.isEmpty ? $0.facts.endpointsMissing ?? "" : nil
        },
        .no(.listenFailed) { linkPortFailure($0.facts) },
        .yes(.reachable) { _ in "" },
    ]

    /// Never a reason not to be Ready: what is unknown is not gone.
    private static let informed: [Rule] = [
        .no(.cannotRead) { judged in
            (judged.facts.unreadable ?? judged.facts.readFailure)
                .map { "\($0); what was read last holds" }
        },
        Rule { _ in .remove },
    ]

    /// Beside Ready, like `informed`: a certificate that ends soon still holds.
    private static let certificatesCurrent: [Rule] = [
        .no(.certificateExpiring) { judged in
            judged.facts.expiring.isEmpty ? nil : judged.facts.expiring.joined(separator: "; ")
        },
        Rule { _ in .remove },
    ]

    /// Why a serving gateway does not take its configuration, with its name.
    private static func configurationError(_ judged: Judged) -> String? {
        // One of a former identity is not told anything any more, and about to go.
        judged.serving.lazy.filter { $0.isOf(judged.facts.siteID) }
            .compactMap { gateway in
                gateway.snapshot?.configurationError.map { "\(gateway.pod): \($0)" }
            }
            .first
    }

    /// What hosts of gateways are short of: no fault of the configuration, but connections wait.
    private static func shortages(_ gateways: [GatewayView]) -> String {
        gateways.flatMap { gateway in
            (gateway.snapshot?.shortages ?? []).map { "\(gateway.pod): \($0)" }
        }.joined(separator: "; ")
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
            sidecars: Int32(clamping: proxies.count(where: \.isSidecar)),
            notInjected: facts.lackingSidecars == 0 ? nil : Int32(clamping: facts.lackingSidecars)
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
