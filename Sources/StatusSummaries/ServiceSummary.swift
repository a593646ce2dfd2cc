import KubernetesAPI
package import NetworkAPI
package import NetworkModel
package import ProxyContract

/// Everything that a Service's status is made of.
package struct ServiceFacts {
    package var hasSite = false
    /// The site that this is about, for what another one has to add.
    package var site: SiteName?
    /// Without a Site: what is exposed in other namespaces still waits for one.
    package var staysExposed = false
    /// Why the Service is not used, or not wholly.
    package var findings: [Finding] = []
    /// What is wrong with the spec though the Service works on as it was.
    package var problem: SpecProblem?
    package var view = ServiceView()
    /// Foreign objects in the way of our children.
    package var conflicts: [String] = []
    /// What has a child's name and is about to go.
    package var waits: [String] = []
    /// What the API server said to a write.
    package var applyFailure: ApplyFailure?
    package var servingGateways = 0
    /// Gateways serve, and none of them tells what it sees: what was known is not known to be different.
    package var isSilent = false
    /// Whether the cluster selects the Service's pods by what it says now.
    package var selection = Selection.unknown
    /// Whether the Service as it is now was judged: `findings` speak of it, and a configuration carries what it asks for.
    package var isCompiled = false
    /// Whether every gateway and sidecar works with the configuration that carries this Service as it is now.
    package var isApplied = false

    package init() {}
}

/// How far the cluster has brought a selector into force.
package enum Selection: Equatable, Sendable {
    /// There is none, or the cluster does not tell.
    case unknown
    /// Pods are still selected by an earlier one.
    case pending
    case inForce(hasReadyPods: Bool)
}

/// Builds the status of a Service, failovers apart: those are counted one by one (`FailoverStep`).
package enum ServiceSummary {
    private static let stalls: Set<Reason> = [
        .invalid, .conflict, .unknownSite, .portsExhausted,
    ]

    package static func make(service: Service, facts: ServiceFacts, at now: Timestamp)
        -> ServiceStatus
    {
        var status = service.status
        guard facts.isCompiled || !facts.hasSite else {
            status.take(
                ConditionWriter.awaitingVerdict(
                    on: service,
                    observedGeneration: status.observedGeneration,
                    message: "the Service waits to become part of its Site's configuration",
                    at: now
                )
            )
            if !facts.isSilent { fill(&status, service: service, view: facts.view) }
            return status
        }
        var writer = ConditionWriter(of: service, at: now)
        status.observedGeneration = service.metadata.generation
        let refusal = facts.findings.first { $0.condition == .accepted }
        if !facts.hasSite {
            refuse(
                &writer,
                .noSite,
                NoSite.message(for: service, staysExposed: facts.staysExposed)
            )
        } else if let refusal {
            refuse(&writer, refusal.reason, refusal.message)
        } else {
            writer.setAccepted(facts.problem)
            let judged = Judged(
                service: service,
                facts: facts,
                hasJudgedTargets: !writer.isOfAnotherGeneration(.hasTargets)
            )
            writer.set(.programmed, by: programmed, of: judged)
            writer.set(.hasTargets, by: hasTargets, of: judged)
        }
        // Whether some site offers targets is told by HasTargets alone.
        writer.summarize(
            [.accepted, .programmed],
            stalls: NoSite.stalls(stalls, service.status.conditions, at: now)
        )
        status.take(writer.conditions)
        if !facts.isSilent { fill(&status, service: service, view: facts.view) }
        return status
    }

    private static func refuse(
        _ writer: inout ConditionWriter,
        _ reason: Reason,
        _ message: String
    ) {
        writer.set(.accepted, .no, reason, message)
        writer.set(.programmed, .no, reason)
        writer.set(.hasTargets, .no, reason)
    }

    private static let silence =
        "no gateway tells what it sees: the controller must reach their port 5673"

    private typealias Rule = ConditionRule<Judged>

    /// What the rules look at.
    private struct Judged {
        let service: Service
        let facts: ServiceFacts
        /// Whether what is stored as HasTargets was found out about this generation.
        let hasJudgedTargets: Bool
    }

    private static let programmed: [Rule] = [
        Rule { judged in
            judged.facts.findings.first { $0.condition == .programmed }
                .map { .set(.no, $0.reason, $0.message) }
        },
        .no(.conflict) {
            $0.facts.conflicts.isEmpty ? nil : $0.facts.conflicts.joined(separator: "; ")
        },
        Rule { $0.facts.applyFailure.map { .set(.no, $0.reason, $0.message) } },
        .no(.progressing) { $0.facts.waits.first },
        .no(.listenFailed) { $0.facts.view.listenError },
        .no(.proxiesNotReady) { $0.facts.servingGateways == 0 ? noGateway : nil },
        .yes(.programmed) { $0.facts.isApplied ? "" : nil },
        .unknown(.proxiesSilent) { $0.facts.isSilent ? silence : nil },
        .no(.progressing) { _ in ConditionWriter.awaitingProxies },
    ]

    private static let hasTargets: [Rule] = [
        .unknown(.proxiesSilent) { $0.facts.isSilent ? silence : nil },
        .unknown(.proxiesNotReady) {
            $0.facts.servingGateways == 0 && $0.facts.view.targets.isEmpty ? noGateway : nil
        },
        Rule { !isInForce($0.facts) && !$0.hasJudgedTargets ? .keepUntilApplied : nil },
        .yes(.targetsUsable) {
            $0.facts.view.hasUsableTarget ? $0.facts.view.hostProblemText : nil
        },
        Rule { judged in
            judged.facts.view.hostProblems.first.map {
                .set(.no, Reason($0.reason), judged.facts.view.hostProblemText)
            }
        },
        .no(.noTargets) { judged in
            guard judged.facts.view.targets.isEmpty else { return nil }
            let address = judged.service.address?.text ?? judged.service.metadata.name
            return
                "no site that can be reached offers the address \(address) with these port names"
        },
        .no(.notAllowed) { notAllowed($0) },
        .no(.noUsableTargets) { judged in
            judged.facts.view.targets.map { target in
                "\(target.view.site.displayName): \(target.view.reason ?? target.view.state.rawValue)"
            }.joined(separator: ", ")
        },
    ]

    /// Another site's word, with what it would have to say.
    private static func notAllowed(_ judged: Judged) -> String? {
        let refusing = judged.facts.view.targets.filter {
            $0.view.reason == FailoverReason.notAllowed.rawValue
        }
        guard !refusing.isEmpty, let address = judged.service.address else { return nil }
        let names = refusing.map(\.view.site.displayName).joined(separator: ", ")
        let own = judged.facts.site.map { "\($0.id)" } ?? "this site's siteID"
        return
            "\(names) does not allow clients of this site; add to spec.allowedSites of the Service with the "
            + "address \(address) there: - \(own)"
    }

    private static let noGateway = "no gateway of this site is ready"

    /// Whether the targets that gateways see are those of the Service as it is now.
    private static func isInForce(_ facts: ServiceFacts) -> Bool {
        guard facts.isApplied else { return false }
        switch facts.selection {
        case .unknown: return true
        case .pending: return false
        case .inForce(let hasReadyPods):
            // What gateways hold for usable here, they selected before.
            return hasReadyPods
                || !facts.view.targets.contains {
                    $0.view.via == "local" && $0.view.state == .usable
                }
        }
    }

    private static func fill(_ status: inout ServiceStatus, service: Service, view: ServiceView) {
        status.targets = view.targets.prefix(ServiceStatus.maximumTargets).map { target in
            ServiceStatus.Target(
                site: target.view.site.displayName,
                port: service.spec.ports.count > 1 ? target.port.text : nil,
                pathCost: target.view.pathCost.map { Int64($0.value) },
                endpoints: Int64(target.view.endpoints),
                connections: Int64(clamping: target.view.connections),
                state: target.view.state.rawValue,
                reason: target.view.reason,
                via: target.view.via
            )
        }
        let usable = view.targets.count { $0.view.state == .usable }
        status.usableTargets = "\(usable)/\(view.targets.count)"
        status.activeSites = Array(view.activeSites.prefix(ServiceStatus.maximumTargets))
        status.active =
            status.activeSites.isEmpty ? nil : status.activeSites.joined(separator: ",")
        var ledger = CounterLedger(cursors: service.status.cursors)
        ledger.count(view.readings)
        let known = service.status.connections
        status.connections = ServiceStatus.Connections(
            active: Int64(clamping: view.active),
            opened: (known?.opened ?? 0).addingSaturated(ledger.opened),
            failed: (known?.failed ?? 0).addingSaturated(ledger.failed)
        )
        status.failovers = status.failovers ?? 0
        status.cursors = ledger.cursors
    }
}

extension Reason {
    fileprivate init(_ reason: HostProblem.Reason) {
        switch reason {
        case .unresolved: self = .hostUnresolved
        case .refused: self = .hostRefused
        case .leadsToItself: self = .leadsToItself
        }
    }
}

extension ServiceView {
    /// What is wrong with hosts, for people; at most so much as one reads.
    fileprivate var hostProblemText: String {
        let shown = hostProblems.prefix(5).map { problem in
            let since =
                problem.since > .epoch ? " (since \(problem.since))" : ""
            return "host \(problem.host): \(problem.message)\(since)"
        }
        let rest = hostProblems.count - shown.count
        return (shown + (rest > 0 ? ["\(rest) more"] : [])).joined(separator: "; ")
    }
}
