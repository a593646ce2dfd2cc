import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import TestSupport
import Testing

@testable import Controller

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
}
