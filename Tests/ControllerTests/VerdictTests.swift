import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import TestSupport
import Testing

@testable import Controller

/// What a GitOps tool makes of a status: kstatus's rules for custom resources, in its order.
private enum Verdict: Equatable {
    case inProgress, failed, current

    init<Status: NetworkStatus>(_ status: Status, generation: Int64?) {
        let conditions = status.conditions
        if let observed = status.observedGeneration, observed != generation {
            self = .inProgress
        } else if conditions.isTrue("Reconciling") {
            self = .inProgress
        } else if conditions.isTrue("Stalled") {
            self = .failed
        } else if let ready = conditions[type: "Ready"] {
            self = ready.status == .yes ? .current : .inProgress
        } else {
            self = .current
        }
    }
}

/// What Flux's condition checker asks of every status.
private func keepsFluxRules(_ status: some NetworkStatus, generation: Int64) -> Bool {
    let conditions = status.conditions
    guard let ready = conditions[type: "Ready"] else { return false }
    let isReconciling = conditions.isTrue("Reconciling")
    let isStalled = conditions.isTrue("Stalled")
    guard !(isReconciling && isStalled) else { return false }
    guard ready.status != .yes || !(isReconciling || isStalled) else { return false }
    guard ready.status != .unknown || isReconciling else { return false }
    return (status.observedGeneration ?? 0) <= generation
        && conditions.allSatisfy { ($0.observedGeneration ?? 0) <= generation }
        && (ready.observedGeneration ?? 0) == (status.observedGeneration ?? 0)
}

/// One object's way from a stored generation over its compilation to the gateways, at random.
private struct History {
    var generation: Int64 = 1
    var compiled: Int64 = 0
    var applied: Int64 = 0
    /// The generation whose first lane is up, or has failed.
    var dialed: Int64 = 0
    /// Whether each generation asks for something that only its author can mend.
    var isWrong: [Int64: Bool]
    var generator: SeededGenerator

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        isWrong = [1: Bool.random(using: &generator)]
    }

    mutating func step() {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
            generation += 1
            isWrong[generation] = Bool.random(using: &generator)
        case 1, 2: compiled = generation
        case 3, 4: applied = compiled
        case 5, 6: dialed = applied
        default: break
        }
    }

    var isCompiled: Bool { compiled == generation }
    var isApplied: Bool { applied == generation }
    var isDialing: Bool { dialed != applied }
    /// What the gateways work with, whichever generation that is.
    var seesWrong: Bool { isWrong[applied] ?? false }
    var isNowWrong: Bool { isWrong[generation] ?? false }
}

@Suite("The verdict belongs to the generation")
struct VerdictTests {
    private static let pending = ["Ready": Condition.Status.unknown, "Reconciling": .yes]

    private func start() -> [Condition] {
        var conditions: [Condition] = []
        for (type, status) in Self.pending {
            conditions.set(
                type,
                status,
                reason: "Pending",
                message: "",
                observedGeneration: nil,
                at: Samples.now
            )
        }
        return conditions
    }

    @Test("K4: what the schema sets on a new object is in progress for kstatus")
    func schemaDefault() {
        var status = LinkStatus()
        status.conditions = start()
        #expect(Verdict(status, generation: 1) == .inProgress)
        #expect(keepsFluxRules(status, generation: 1))
    }

    @Test(
        "K5: no verdict on a Link's generation before it was compiled, applied and dialed, over random histories",
        arguments: UInt64(0)..<100
    )
    func links(_ seed: UInt64) throws {
        var history = History(seed: seed)
        var link = try Samples.link()
        link.status.conditions = start()
        for step in 0..<200 {
            history.step()
            link.metadata.generation = history.generation
            var facts = LinkFacts()
            facts.hasSite = true
            facts.isCompiled = history.isCompiled
            facts.isApplied = history.isApplied
            facts.view.gateways = 1
            facts.view.reason =
                history.isDialing ? .connecting : history.seesWrong ? .siteIDMismatch : .connected
            facts.view.connected = facts.view.reason == .connected ? 1 : 0
            link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
            let verdict = Verdict(link.status, generation: history.generation)
            let expected: Verdict =
                !history.isCompiled || !history.isApplied || history.isDialing
                ? .inProgress : history.isNowWrong ? .failed : .current
            #expect(verdict == expected, "seed \(seed), step \(step)")
            #expect(
                keepsFluxRules(link.status, generation: history.generation),
                "seed \(seed), step \(step): \(link.status.conditions.brief)"
            )
            // Connected says of which generation it speaks, and that one was seen at work.
            if let connected = link.status.conditions[type: "Connected"],
                connected.status != .unknown, connected.observedGeneration == history.generation
            {
                #expect((connected.status == .no) == (history.isWrong[history.generation] == true))
            }
        }
    }

    @Test(
        "K5: no verdict on a Service's generation before it was compiled and applied, over random histories",
        arguments: UInt64(0)..<100
    )
    func services(_ seed: UInt64) throws {
        var history = History(seed: seed)
        var service = try Samples.service()
        service.status.conditions = start()
        for step in 0..<200 {
            history.step()
            service.metadata.generation = history.generation
            var facts = ServiceFacts()
            facts.hasSite = true
            facts.isCompiled = history.isCompiled
            facts.isApplied = history.isApplied
            facts.servingGateways = 1
            // Findings speak of the generation that was compiled last.
            if history.isWrong[history.compiled] == true {
                facts.applyFailure = ApplyFailure(isInvalid: true, message: "422: spec.selector")
            }
            service.status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
            let verdict = Verdict(service.status, generation: history.generation)
            let expected: Verdict =
                !history.isCompiled
                ? .inProgress
                : history.isNowWrong ? .failed : history.isApplied ? .current : .inProgress
            #expect(verdict == expected, "seed \(seed), step \(step)")
            #expect(
                keepsFluxRules(service.status, generation: history.generation),
                "seed \(seed), step \(step): \(service.status.conditions.brief)"
            )
        }
    }

    @Test(
        "K14: what another site does never takes Ready from a Link",
        arguments: [
            LinkSnapshot.Reason.unreachable, .notAllowed, .certificateInvalid, .clockSkew,
            .duplicateIdentity,
        ]
    )
    func others(_ reason: LinkSnapshot.Reason) throws {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.view.gateways = 1
        facts.view.reason = reason
        let link = try Samples.link()
        let status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Connected"]?.reason == reason.rawValue)
        #expect(status.conditions[type: "Connected"]?.status == .no)
        #expect(Verdict(status, generation: link.metadata.generation) == .current)
    }

    @Test("K14: a Service without targets is Ready, and says that it has none")
    func noTargets() throws {
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.servingGateways = 1
        let service = try Samples.service()
        let status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "HasTargets"]?.reason == "NoTargets")
        #expect(status.usableTargets == "0/0")
        #expect(Verdict(status, generation: service.metadata.generation) == .current)
    }

    @Test("K12: a 422 about a child is Stalled with what the API server said, a 403 is not")
    func refusals() throws {
        func status(isInvalid: Bool) throws -> ServiceStatus {
            var facts = ServiceFacts()
            facts.hasSite = true
            facts.isCompiled = true
            facts.applyFailure = ApplyFailure(isInvalid: isInvalid, message: "the server's words")
            return ServiceSummary.make(
                service: try Samples.service(),
                facts: facts,
                at: Samples.now
            )
        }
        let invalid = try status(isInvalid: true)
        #expect(invalid.conditions[type: "Stalled"]?.message == "the server's words")
        let forbidden = try status(isInvalid: false)
        #expect(!forbidden.conditions.isTrue("Stalled"))
        #expect(forbidden.conditions[type: "Ready"]?.reason == "ApplyFailed")
    }

    @Test(
        "K13: a Deployment that is refused, stuck or half renewed keeps its Site from being Ready"
    )
    func rollout() {
        func problem(_ change: (inout Apps.Deployment) -> Void) -> String? {
            var deployment = Apps.Deployment()
            deployment.metadata.name = "tieline-proxy"
            deployment.metadata.generation = 2
            deployment.spec.replicas = 2
            deployment.status.observedGeneration = 2
            deployment.status.replicas = 2
            deployment.status.updatedReplicas = 2
            deployment.status.availableReplicas = 2
            change(&deployment)
            return deployment.rolloutProblem
        }
        func condition(_ type: String, _ status: String) -> Apps.DeploymentCondition {
            var condition = Apps.DeploymentCondition()
            condition.type = type
            condition.status = status
            condition.message = "exceeded quota"
            return condition
        }
        #expect(problem { _ in } == nil)
        #expect(problem { $0.status.observedGeneration = 1 } != nil)
        #expect(problem { $0.status.updatedReplicas = 1 } != nil)
        #expect(problem { $0.status.replicas = 3 } != nil)
        #expect(problem { $0.status.availableReplicas = 1 } != nil)
        #expect(problem { $0.spec.replicas = 1 } != nil, "gateways that are not wanted any more")
        #expect(problem { $0.status.conditions = [condition("Progressing", "True")] } == nil)
        for (type, status) in [("ReplicaFailure", "True"), ("Progressing", "False")] {
            let told = problem { $0.status.conditions = [condition(type, status)] }
            #expect(told?.contains("exceeded quota") == true)
        }
    }

    @Test("K5: an object that is made again under the same name is judged anew")
    func recreated() throws {
        let site = Samples.site()
        var record = SiteRecord(site: site)
        let link = try Samples.link()
        var service = try Samples.service()
        try record.take(5, links: [link], services: [service])
        #expect(record.hasCompiled(link, .link) && record.generation(of: link, .link) == 5)
        var other = link
        other.metadata.uid = "another"
        #expect(!record.hasCompiled(other, .link) && record.generation(of: other, .link) == nil)
        service.metadata.uid = "another"
        #expect(!record.hasCompiled(service, .service))
        // The one that is there is compiled, and its part of the configuration is the same as before.
        try record.take(5, links: [other], services: [service])
        #expect(record.generation(of: other, .link) == 5)
    }

    @Test(
        "K14: Ready waits for every attached sidecar; one that has taken up nothing is not waited for"
    )
    func sidecars() throws {
        func view(_ sidecars: [UInt64]) throws -> SiteView {
            let snapshot = try Samples.snapshot(generation: 6) { snapshot in
                snapshot.sidecars = try sidecars.enumerated().map { index, generation in
                    SidecarSnapshot(
                        proxy: try Samples.proxy(UInt64(20 + index)),
                        appliedGeneration: generation,
                        counters: [],
                        failovers: []
                    )
                }
            }
            return SiteView(gateways: [Samples.gateway(snapshot: snapshot)])
        }
        #expect(try view([]).allApplied(6))
        #expect(try !view([6, 5]).allApplied(6))
        #expect(try view([6, 0]).allApplied(6))
        #expect(try !view([6, 6]).allApplied(7))
    }

    @Test("K14: what a sidecar takes up is looked at by the objects that wait for it")
    func sidecarNews() throws {
        func snapshot(_ sidecars: [UInt64: UInt64]) throws -> ProxySnapshot {
            try Samples.snapshot(generation: 9) { snapshot in
                snapshot.sidecars = try sidecars.sorted { $0.key < $1.key }.map {
                    number,
                    generation in
                    SidecarSnapshot(
                        proxy: try Samples.proxy(number),
                        appliedGeneration: generation,
                        counters: [],
                        failovers: []
                    )
                }
            }
        }
        func generations(_ old: [UInt64: UInt64], _ new: [UInt64: UInt64]) throws -> ClosedRange<
            UInt64
        >? {
            SnapshotDifference(try snapshot(old), try snapshot(new)).generations
        }
        #expect(try generations([20: 7], [20: 9]) == 8...9)
        #expect(try generations([20: 7, 21: 5], [20: 8, 21: 9]) == 6...9)
        #expect(try generations([:], [20: 0]) == nil)
        #expect(try generations([20: 0], [20: 9]) == nil)
        #expect(try generations([20: 7], [:]) == 8...9, "those that it held up are applied now")
        #expect(try generations([:], [20: 7]) == 8...9)
    }

    @Test("K14: an Event tells that a Service lost its targets, and that it has one again")
    func targetEvents() throws {
        let service = try Samples.service()
        func conditions(_ targets: Condition.Status, accepted: Bool = true) -> [Condition] {
            var list: [Condition] = []
            for (type, status) in [
                ("Accepted", accepted ? Condition.Status.yes : .no), ("HasTargets", targets),
            ] {
                list.set(
                    type,
                    status,
                    reason: "NoTargets",
                    message: "why",
                    observedGeneration: 3,
                    at: Samples.now
                )
            }
            return list
        }
        func event(_ before: [Condition], _ after: [Condition]) -> EventReason? {
            Transitions.targets(service, before: before, after: after)?.reason
        }
        #expect(event(conditions(.yes), conditions(.no)) == .targetsLost)
        #expect(event(conditions(.no), conditions(.yes)) == .targetsFound)
        #expect(event(conditions(.yes), conditions(.yes)) == nil)
        #expect(event(conditions(.yes), conditions(.unknown)) == nil)
        #expect(event(conditions(.unknown), conditions(.yes)) == nil)
        #expect(event([], conditions(.yes)) == nil)
        #expect(event(conditions(.yes), conditions(.no, accepted: false)) == nil)
    }

    @Test("K14: targets that an earlier selector chose are not those of the Service as it is now")
    func selections() throws {
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.servingGateways = 1
        var local = try Samples.target("A", name: "east", cost: 0)
        local.via = "local"
        facts.view.targets = [.init(port: try #require(PortName("http")), view: local)]
        var service = try Samples.service()
        func make(_ selection: Selection) -> ServiceStatus {
            facts.selection = selection
            return ServiceSummary.make(service: service, facts: facts, at: Samples.now)
        }
        func targets(_ selection: Selection) -> (Condition.Status?, Int64?) {
            let found = make(selection).conditions[type: "HasTargets"]
            return (found?.status, found?.observedGeneration)
        }
        #expect(targets(.pending) == (.unknown, 3), "a new Service")
        service.status = make(.inForce(hasReadyPods: true))
        service.metadata.generation = 4
        #expect(targets(.pending) == (.yes, 3))
        #expect(targets(.inForce(hasReadyPods: false)) == (.yes, 3), "the gateways lag behind")
        #expect(targets(.inForce(hasReadyPods: true)) == (.yes, 4))
        facts.view.targets = []
        #expect(targets(.inForce(hasReadyPods: false)) == (.no, 4))
    }

    @Test("K14: a selector is in force once every EndpointSlice has been made by it")
    func selectionsOfTheCluster() throws {
        let (old, new) = (["app": "a"], ["app": "b"])
        func core(_ selector: [String: String], age: Int64 = 60) -> Core.Service {
            Core.Service {
                $0.metadata.creationTimestamp = Timestamp(seconds: Samples.now.seconds - age)
                $0.spec.selector = selector
            }
        }
        func slice(_ selector: [String: String], isReady: Bool) -> Discovery.EndpointSlice {
            var endpoint = Discovery.Endpoint()
            endpoint.conditions.ready = isReady
            var slice = Discovery.EndpointSlice()
            slice.metadata.labels[Names.selectorLabel] = Selection.digest(selector)
            slice.endpoints = [endpoint]
            return slice
        }
        func selection(_ core: Core.Service?, _ slices: [Discovery.EndpointSlice]) -> Selection {
            Selection(of: new, core: core, slices: slices, at: Samples.now)
        }
        let ready = slice(new, isReady: true)
        #expect(selection(nil, []) == .pending)
        #expect(selection(core(old), [slice(old, isReady: true)]) == .pending)
        #expect(selection(core(new), [slice(old, isReady: true)]) == .pending)
        #expect(selection(core(new), [ready, slice(old, isReady: true)]) == .pending)
        #expect(
            selection(core(new), [slice(new, isReady: false)]) == .inForce(hasReadyPods: false)
        )
        #expect(selection(core(new), [ready]) == .inForce(hasReadyPods: true))
        #expect(selection(core(new, age: 1), []) == .pending)
        #expect(selection(core(new), []) == .unknown, "a cluster that passes no labels on")
    }

    @Test("K5: what the schema set goes with the first verdict, what others set stays")
    func defaults() throws {
        let link = try Samples.link()
        let wanted = LinkSummary.make(link: link, facts: LinkFacts(), at: Samples.now)
        let stalled = wanted.conditions.filter { $0.type != "Reconciling" }
        var stored = start()
        stored.set("acme.example/Reviewed", .yes, reason: "Reviewed", at: Samples.now)
        let written = stalled.beside(stored)
        #expect(written.ours == stalled)
        #expect(written.filter { !stalled.contains($0) }.map(\.type) == ["acme.example/Reviewed"])
    }

    @Test("K13: a Site is not judged by what its children were before the last write")
    func unseen() throws {
        var facts = SiteFacts()
        facts.generation = 5
        facts.view = SiteView(gateways: [Samples.gateway(snapshot: try Samples.snapshot())])
        facts.endpoints = [LinkEndpoint(host: "10.0.0.1", port: 5671)]
        var site = Samples.site { $0.linkAccess = LinkAccess(type: .clusterIP) }
        site.status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(Verdict(site.status, generation: 3) == .current)
        site.metadata.generation = 4
        facts.isUnseen = true
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(Verdict(status, generation: 4) == .inProgress)
        #expect(status.conditions[type: "Reachable"]?.observedGeneration == 3)
    }

    @Test(
        "K5: a Link is not judged before the first lane that is dialed for it is up or has failed"
    )
    func firstDial() throws {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.view.gateways = 1
        var link = try Samples.link()
        func verdict(_ reason: LinkSnapshot.Reason) -> Verdict {
            facts.view.reason = reason
            facts.view.connected = reason == .connected ? 1 : 0
            link.status = LinkSummary.make(link: link, facts: facts, at: Samples.now)
            #expect(keepsFluxRules(link.status, generation: link.metadata.generation ?? 0))
            return Verdict(link.status, generation: link.metadata.generation)
        }
        #expect(verdict(.connecting) == .inProgress)
        #expect(verdict(.connected) == .current)
        #expect(verdict(.connecting) == .current, "a link that is lost is the other site's matter")
        link.metadata.generation = 4
        #expect(verdict(.connecting) == .inProgress)
        #expect(verdict(.siteIDMismatch) == .failed)
    }

    @Test(
        "K14: the column STATUS is the reason of the first condition that is not as wished, else Ready"
    )
    func column() throws {
        var facts = LinkFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.view.gateways = 1
        facts.view.reason = .unreachable
        var link = try Samples.link()
        func summary() -> String? {
            LinkSummary.make(link: link, facts: facts, at: Samples.now).summary
        }
        #expect(summary() == "Progressing")
        facts.isApplied = true
        #expect(summary() == "Unreachable")
        facts.view.reason = .connected
        facts.view.connected = 1
        #expect(summary() == "Ready")
        link.metadata.generation = 4
        facts.isCompiled = false
        #expect(summary() == "Progressing")
        facts = LinkFacts()
        #expect(summary() == "NoSite")

        var other = ServiceFacts()
        other.hasSite = true
        other.isCompiled = true
        other.isApplied = true
        other.servingGateways = 1
        let service = try Samples.service()
        let status = ServiceSummary.make(service: service, facts: other, at: Samples.now)
        #expect(status.summary == "NoTargets")
    }

    @Test("P5: an object whose file cannot be read is Stalled; while the file is written it waits")
    func problems() throws {
        var facts = ServiceFacts()
        facts.hasSite = true
        facts.isCompiled = true
        facts.isApplied = true
        facts.servingGateways = 1
        let service = try Samples.service()
        func verdict(_ problem: SpecProblem?) -> Verdict {
            facts.problem = problem
            let status = ServiceSummary.make(service: service, facts: facts, at: Samples.now)
            #expect(status.conditions.isTrue("Programmed"), "it works on as it was")
            #expect(keepsFluxRules(status, generation: 3))
            return Verdict(status, generation: 3)
        }
        #expect(verdict(nil) == .current)
        #expect(verdict(SpecProblem("line 3")) == .failed)
        #expect(verdict(SpecProblem("it is being written", isPassing: true)) == .inProgress)
    }

    @Test("K13: what the rollout waits for is what a Site says that serves with an earlier version")
    func siteRollout() {
        var facts = SiteFacts()
        facts.generation = 5
        var snapshot = GatewayView(pod: "a", isReady: true)
        snapshot.isAwaited = false
        facts.view = SiteView(gateways: [snapshot])
        facts.rollout = "1 of 2 gateways are renewed"
        let site = Samples.site()
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Ready"]?.message == facts.rollout)
        #expect(Verdict(status, generation: site.metadata.generation) == .inProgress)
        facts.view = SiteView()
        facts.rollout = "exceeded quota"
        let refused = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(refused.conditions[type: "Ready"]?.message == "exceeded quota")
    }

    @Test("K13: an edit of a Link does not touch what the Site's Ready rests on")
    func siteSince() throws {
        let site = Samples.site()
        var record = SiteRecord(site: site)
        func take(_ generation: UInt64, cost: Int32, loops: Int) throws {
            let link = try Samples.link(cost: cost)
            try record.take(generation, links: [link], services: []) { $0.loops = loops }
        }
        try take(5, cost: 10, loops: 0)
        #expect(record.siteSince == 5)
        try take(6, cost: 20, loops: 0)
        #expect(record.siteSince == 5)
        try take(7, cost: 20, loops: 2)
        #expect(record.siteSince == 7)
    }

    @Test("K13: an edit while no controller ran touches nothing but what was edited")
    func editWithoutController() throws {
        let (site, link, service) = (
            Samples.site(), try Samples.link(cost: 10), try Samples.service()
        )
        var other = service
        other.metadata = Samples.metadata("other")
        var earlier = SiteRecord(site: site)
        try earlier.take(5, links: [link], services: [service, other])
        let head = try #require(earlier.head)
        var record = SiteRecord(site: site)
        record.restore(head, services: earlier.allServices)
        #expect(
            !record.hasCompiled(service, .service),
            "what was told is no word on what is wanted"
        )
        #expect(record.ports == earlier.ports)
        var edited = service
        edited.metadata.generation = 9
        edited.spec.ports[0].port = 9_999
        try record.take(6, links: [link], services: [edited, other])
        #expect(record.siteSince == 5)
        #expect(record.generation(of: link, .link) == 5)
        #expect(record.generation(of: other, .service) == 5)
        #expect(record.generation(of: edited, .service) == 6)
    }

    @Test("K13: what went while no controller ran is nowhere after that")
    func goneWithoutController() throws {
        let (site, link, service) = (Samples.site(), try Samples.link(), try Samples.service())
        var earlier = SiteRecord(site: site)
        try earlier.take(5, links: [link], services: [service])
        let head = try #require(earlier.head)
        var record = SiteRecord(site: site)
        record.restore(head, services: earlier.allServices)
        #expect(record.serviceNames == [service.metadata.name])
        try record.take(6, links: [], services: [])
        #expect(record.allServices.isEmpty && record.objects(since: 0...6).isEmpty)
    }
}
