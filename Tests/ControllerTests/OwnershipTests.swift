import KubernetesAPI
import NetworkAPI
import NetworkModel
import StatusSummaries
import Testing

@testable import Controller

@Suite("Whose a child is")
struct OwnershipTests {
    private let site = Samples.site()

    private var wanted: Child {
        .deployment(GatewayDeployment.make(site: site, settings: Samples.settings))
    }

    private func found(_ change: (inout ObjectMeta) -> Void) -> Child {
        wanted.marked.changing {
            $0.uid = "uid-child"
            change(&$0)
        }
    }

    @Test("K18: a child whose managed-by label was overwritten is still ours, and is repaired")
    func label() {
        let decision = wanted.decide(
            observed: found { $0.labels[Names.managedByLabel] = "Helm" }
        )
        #expect(decision == .write([.apply(wanted.marked.pinned(to: "uid-child"))]))
    }

    @Test("K15: a child that was orphaned is adopted; without our digest it is somebody's")
    func orphan() {
        let adoption = wanted.decide(observed: found { $0.ownerReferences = [] })
        #expect(adoption == .write([.apply(wanted.marked.pinned(to: "uid-child"))]))
        let other = wanted.decide(
            observed: found {
                $0.ownerReferences = []
                $0.annotations = [:]
            }
        )
        guard case .conflict = other else {
            Issue.record("what we never wrote was taken over: \(other)")
            return
        }
    }

    @Test("K15: what an owner that is gone left behind is due for removal after five seconds")
    func leftover() throws {
        let child = found { $0.ownerReferences[0].uid = "earlier" }
        let plan = ChildrenPlan(wanted: [wanted], observed: [child]) { _ in false }
        let leftover = try #require(plan.leftovers.first)
        #expect(leftover.uid == "uid-child")
        #expect(leftover.resource == Apps.Deployment.resource)
        #expect(
            leftover.owner
                == EarlierOwner(
                    kind: "Site",
                    key: ObjectKey(namespace: "shop", name: "east"),
                    uid: "earlier"
                )
        )
        var watch = LeftoverWatch()
        let start = Instant(nanoseconds: 1_000_000_000_000)
        #expect(watch.due([leftover], at: start).isEmpty)
        #expect(watch.due([leftover], at: start + .milliseconds(4_900)).isEmpty)
        #expect(watch.due([leftover], at: start + .seconds(5)) == [leftover])
        // One that is on its way already needs no help.
        let going = found {
            $0.ownerReferences[0].uid = "earlier"
            $0.deletionTimestamp = Samples.now
        }
        let waiting = ChildrenPlan(wanted: [wanted], observed: [going]) { _ in false }
        #expect(waiting.waits.count == 1 && waiting.leftovers.isEmpty)
        // Nothing is remembered for ever.
        _ = watch.due([], at: start + .seconds(120))
        #expect(watch.count == 0)
    }

    @Test("K15: all conflicts of a Site are told at once")
    func conflicts() {
        var facts = SiteFacts()
        facts.conflicts = ["the Secret a", "the Deployment b"]
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        let message = status.conditions[type: "Ready"]?.message
        #expect(message == "the Secret a; the Deployment b")
    }

    @Test("K18: a message of any length fits into a condition")
    func bound() {
        var facts = SiteFacts()
        facts.conflicts = [String(repeating: "ä", count: 40_000)]
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        for condition in status.conditions {
            #expect(condition.message.utf8.count <= 32_768)
        }
        #expect(status.conditions[type: "Programmed"]?.message.hasSuffix("ä…") == true)
        #expect("abcdef".cut(toBytes: 6) == "abcdef")
        #expect("abcdefg".cut(toBytes: 6) == "abc…")
        #expect("aäää".cut(toBytes: 6) == "aä…")
    }

    @Test("K10: the binding of a Site in the controller's own namespace is not that of its Lease")
    func binding() {
        let child = SiteChildren.controllerBinding(site: site, settings: Samples.settings)
        guard case .roleBinding(let binding) = child else {
            Issue.record("no RoleBinding")
            return
        }
        #expect(binding.metadata.name == "tieline-controller-site")
        #expect(binding.roleRef.name == "tieline-controller-site")
        #expect(binding.subjects.map(\.namespace) == ["tieline-system"])
    }
}
