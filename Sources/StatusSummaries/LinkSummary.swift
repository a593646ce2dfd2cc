import KubernetesAPI
package import NetworkAPI
package import NetworkModel
package import ProxyContract

/// Everything that a Link's status is made of.
package struct LinkFacts {
    package var hasSite = false
    /// This site, once it has an identity.
    package var site: SiteName?
    /// Why the Link is not used; nil when it is.
    package var finding: Finding?
    /// What is wrong with the spec though the Link works on as it was.
    package var problem: SpecProblem?
    /// Why its token cannot be used.
    package var tokenProblem: String?
    package var view = LinkView()
    /// A gateway has yet to answer for the first time.
    package var isSettling = false
    /// Whether the Link as it is now was judged: `finding` speaks of it, and a configuration carries what it asks for.
    package var isCompiled = false
    /// Whether every gateway and sidecar routes with the configuration that carries this Link as it is now.
    package var isApplied = false

    package init() {}
}

/// Builds the status of a Link.
package enum LinkSummary {
    /// What only the author of the Link can mend.
    private static let stalls: Set<Reason> = [
        .invalid, .conflict, .unknownSite, .siteIDMismatch, .toSelf,
    ]
    /// Why a Link is not Connected that its own author has to mend; all else is the other site's, and not Ready's matter.
    private static let ownFaults: Set<Reason> = [.siteIDMismatch, .toSelf]

    package static func make(link: Link, facts: LinkFacts, at now: Timestamp) -> LinkStatus {
        var status = link.status
        guard facts.isCompiled || !facts.hasSite else {
            status.take(
                ConditionWriter.awaitingVerdict(
                    on: link,
                    observedGeneration: status.observedGeneration,
                    message: "the Link waits to become part of its Site's configuration",
                    at: now
                )
            )
            fill(&status, link: link, facts: facts)
            return status
        }
        var writer = ConditionWriter(of: link, at: now)
        status.observedGeneration = link.metadata.generation
        if !facts.hasSite {
            writer.set(.accepted, .no, .noSite, NoSite.message)
            writer.set(.connected, .no, .noSite)
        } else if let finding = facts.finding {
            if finding.condition == .connected {
                writer.set(.accepted, .yes, .accepted)
                writer.set(.connected, .no, finding.reason, finding.message)
            } else {
                writer.set(.accepted, .no, finding.reason, finding.message)
                writer.set(.connected, .no, finding.reason)
            }
        } else {
            writer.setAccepted(facts.problem)
            let judged = Judged(
                link: link,
                facts: facts,
                hasJudgedConnection: !writer.isOfAnotherGeneration(.connected)
            )
            writer.set(.connected, by: connected, of: judged)
        }
        writer.summarize(
            checks(writer, facts: facts),
            stalls: NoSite.stalls(stalls, link.status.conditions, at: now)
        )
        status.take(writer.conditions)
        fill(&status, link: link, facts: facts)
        return status
    }

    /// What Ready rests on: that this site accepts the Link and works with it.
    ///
    /// Whether the other side answers is told by Connected alone.
    private static func checks(
        _ writer: ConditionWriter,
        facts: LinkFacts
    ) -> [ConditionWriter.Check] {
        var checks = [writer.check(.accepted)]
        let connected = writer.check(.connected)
        if facts.hasSite, facts.finding == nil { checks.append(applied(facts)) }
        // A fault that was found of an earlier generation is kept until the first lane for this one is up, or has failed.
        let isKept = writer.isOfAnotherGeneration(.connected)
        if let connected, facts.finding != nil || !isKept && ownFaults.contains(connected.reason) {
            checks.append(connected)
        } else if facts.isApplied, facts.view.isDialing, isKept {
            checks.append(.init(status: .no, reason: .progressing, message: firstDial))
        }
        return checks.compactMap(\.self)
    }

    private static func applied(_ facts: LinkFacts) -> ConditionWriter.Check? {
        let view = facts.view
        if view.gateways == 0 {
            return .init(status: .no, reason: .proxiesNotReady, message: noGateway)
        }
        if facts.isApplied { return nil }
        if view.silent > 0 {
            return .init(status: .unknown, reason: .proxiesSilent, message: silence(view))
        }
        return .init(status: .no, reason: .progressing, message: ConditionWriter.awaitingProxies)
    }

    private static let firstDial = "gateways dial for the first time"

    private static let noGateway = "no gateway of this site is ready"

    private static func silence(_ view: LinkView) -> String {
        "\(view.silent) of \(view.gateways) gateways do not tell what they see: "
            + "the controller must reach their port 5673"
    }

    private typealias Rule = ConditionRule<Judged>

    /// What the rules look at.
    private struct Judged {
        let link: Link
        let facts: LinkFacts
        /// Whether what is stored as Connected was found out about this generation.
        let hasJudgedConnection: Bool

        var view: LinkView { facts.view }
    }

    private static let connected: [Rule] = [
        // What gateways see that work with an earlier generation says nothing of this one; nor do they before the first
        // lane that they dial for it is up, or has failed.
        Rule { judged in
            let isKnown = judged.facts.isApplied && !judged.view.isDialing
            let isEarly = judged.view.gateways > 0 && !isKnown && !judged.hasJudgedConnection
            return isEarly ? .keepUntilApplied : nil
        },
        .yes(.connected) { judged in
            let view = judged.view
            guard view.connected > 0 else { return nil }
            return view.connected < view.gateways
                ? "\(view.connected) of \(view.gateways) gateways are connected" : ""
        },
        .unknown(.proxiesNotReady) { $0.view.gateways == 0 ? noGateway : nil },
        .unknown(.proxiesSilent) { judged in
            let view = judged.view
            guard view.isSilent else { return nil }
            let others = view.silent < view.gateways ? "; the others: \(view.message)" : ""
            return silence(view) + others
        },
        Rule { judged in
            .set(
                .no,
                Reason(rawValue: judged.view.reason.rawValue) ?? .connecting,
                message(link: judged.link, facts: judged.facts)
            )
        },
    ]

    private static func message(link: Link, facts: LinkFacts) -> String {
        guard facts.view.reason == .notAllowed, let site = facts.site else {
            return facts.view.message
        }
        if link.spec.tokenSecret != nil { return facts.tokenProblem ?? facts.view.message }
        let entry =
            site.name.isEmpty ? "{siteID: \(site.id)}" : "{siteID: \(site.id), name: \(site.name)}"
        return "the other site does not allow this one; add to spec.allow of the Site "
            + "\(facts.view.remote?.displayName ?? link.spec.remoteSiteID.text): - \(entry)"
    }

    private static func fill(_ status: inout LinkStatus, link: Link, facts: LinkFacts) {
        let view = facts.view
        if let remote = view.remote {
            status.remoteSite = LinkStatus.RemoteSite(
                id: remote.id,
                name: remote.name.isEmpty ? nil : remote.name
            )
        }
        let cost = link.isCostMeasured ? view.highestCost : view.cost == link.cost ? link.cost : nil
        if let cost, facts.isApplied, view.serviceCosts == link.serviceCosts {
            status.appliedCost = cost
        }
        var ledger = CounterLedger(cursors: link.status.cursors)
        ledger.count(view.readings)
        status.connections = ConnectionCounts(
            active: view.silent > 0 && view.silent == view.gateways
                ? status.connections?.active ?? 0 : Int64(clamping: view.active),
            opened: (link.status.connections?.opened ?? 0).addingSaturated(ledger.opened)
        )
        countLosses(&status, ledger: &ledger, view: view)
        if let measured = view.roundTripMicroseconds {
            let shown = status.roundTripTime.map {
                UInt64(clamping: $0.duration.wholeNanoseconds / 1000)
            }
            status.roundTripTime = RoundTripBucket.duration(
                RoundTripBucket.microseconds(measured, shown: shown)
            )
        }
        status.cursors = ledger.cursors
    }

    /// Every gateway has the link, so what several of them lose within some seconds is one loss.
    private static func countLosses(
        _ status: inout LinkStatus,
        ledger: inout CounterLedger,
        view: LinkView
    ) {
        var growth: UInt64 = 0
        for losses in view.losses {
            let counted = ledger.failovers(of: losses.proxy)
            growth = max(growth, losses.count >= counted ? losses.count - counted : losses.count)
            if losses.count != counted { ledger.setFailovers(losses.count, of: losses.proxy) }
        }
        var isSame = false
        if growth > 0, let loss = view.lastLoss {
            isSame =
                status.lastFailover?.time.isWithin(FailoverLedger.window, of: loss.time) ?? false
            if !isSame {
                status.lastFailover = LinkStatus.LastFailover(
                    time: Timestamp(seconds: loss.time.seconds),
                    reason: loss.reason,
                    connections: Int64(clamping: loss.connections)
                )
            }
        }
        status.failovers = (status.failovers ?? 0)
            .addingSaturated(Int64(clamping: isSame ? growth - 1 : growth))
    }
}
