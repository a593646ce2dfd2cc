import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import Controller

@Suite("Decisions about a child")
struct ChildDecisionTests {
    private struct Absent: Error {}

    private let site = Samples.site()

    private var wanted: Child {
        .deployment(GatewayDeployment.make(site: site, settings: Samples.settings))
    }

    /// What the server would give back: defaults filled in, an identity, a status.
    private func stored() throws -> Apps.Deployment {
        guard case .deployment(var object) = wanted.marked else { throw Absent() }
        object.metadata.uid = "uid-child"
        object.metadata.resourceVersion = "12"
        object.metadata.creationTimestamp = Samples.now
        object.spec.revisionHistoryLimit = 10
        object.spec.template.spec.restartPolicy = "Always"
        object.spec.template.spec.containers[0].readinessProbe?.successThreshold = 1
        object.status.readyReplicas = 2
        return object
    }

    @Test("an absent child is applied without force, by name")
    func absent() {
        #expect(wanted.decide(observed: nil) == .write([.apply(wanted.marked)]))
    }

    @Test("defaults, statuses and what others added are no reason to write")
    func keep() throws {
        var object = try stored()
        #expect(wanted.decide(observed: .deployment(object)) == .keep)
        object.metadata.labels["team"] = "a"
        object.spec.template.spec.containers.insert(Core.Container { $0.name = "extra" }, at: 0)
        #expect(wanted.decide(observed: .deployment(object)) == .keep)
    }

    @Test("a pair that was found equal needs no second look, until either side changes")
    func settled() throws {
        let settled = SettledChildren()
        var object = try stored()
        func writes(_ child: Child) -> [Write] {
            ChildrenPlan(wanted: [child], observed: [.deployment(object)], settled: settled).writes
        }
        #expect(writes(wanted).isEmpty)
        #expect(settled.holds(wanted, as: .deployment(object)))
        // Somebody's edit is another version.
        object.spec.replicas = 0
        object.metadata.resourceVersion = "13"
        #expect(!settled.holds(wanted, as: .deployment(object)))
        #expect(writes(wanted).count == 1)
        // What needs a write is not settled, however often it is looked at.
        #expect(writes(wanted).count == 1)
        // Another object of that name, by chance with the same version, is another one.
        object = try stored()
        object.metadata.uid = "uid-other"
        #expect(!settled.holds(wanted, as: .deployment(object)))
        // Another wish about the same object.
        object = try stored()
        let other = wanted.changing { $0.labels["wanted"] = "now" }
        #expect(writes(wanted).isEmpty)
        #expect(!settled.holds(other, as: .deployment(object)))
        #expect(!writes(other).isEmpty)
        settled.forget(object)
        #expect(settled.count == 0)
    }

    @Test("an edited child is repaired, and exactly that one")
    func repair() throws {
        var object = try stored()
        object.spec.replicas = 0
        guard case .write(let changes) = wanted.decide(observed: .deployment(object)),
            case .apply(let child) = changes[0]
        else {
            Issue.record("an edit was kept")
            return
        }
        #expect(child.object.metadata.uid == "uid-child")
        #expect(changes.count == 1)
    }

    @Test("a port that somebody added is taken away again")
    func ports() throws {
        guard
            case .service(let service) = SiteChildren.make(site: site, settings: Samples.settings)[
                2
            ]
        else { return }
        guard case .service(var object) = Child.service(service).marked else { return }
        object.metadata.uid = "uid-child"
        #expect(Child.service(service).decide(observed: .service(object)) == .keep)
        object.spec.ports.append(Core.ServicePort(name: "more", port: 99))
        guard
            case .write(let changes) = Child.service(service).decide(observed: .service(object))
        else {
            Issue.record("the added port was kept")
            return
        }
        #expect(
            changes.first
                == .replacePorts(service.key, uid: "uid-child", ports: service.spec.ports)
        )
        object.spec.ports = service.spec.ports
        object.spec.selector["more"] = "x"
        #expect(Child.service(service).decide(observed: .service(object)) != .keep)
    }

    @Test("an object of somebody else is left alone, and named")
    func foreign() throws {
        var object = try stored()
        object.metadata.labels = [:]
        object.metadata.ownerReferences = []
        guard case .conflict(let message) = wanted.decide(observed: .deployment(object)) else {
            Issue.record("a foreign object was taken over")
            return
        }
        #expect(message.contains("Deployment tieline-proxy in namespace shop"))
        object = try stored()
        object.metadata.ownerReferences[0].uid = "another"
        object.metadata.ownerReferences[0].name = "older"
        guard case .conflict(let other) = wanted.decide(observed: .deployment(object)) else {
            Issue.record("another owner's object was taken over")
            return
        }
        #expect(other.contains("older"))
    }

    @Test("what is wanted no more is taken out, though all that is wanted is there")
    func removal() throws {
        var before = site
        before.spec.proxy = ProxySettings(
            resources: ComputeResources(limits: ["memory": Quantity("1Gi")])
        )
        guard
            case .deployment(var object) = Child.deployment(
                GatewayDeployment.make(site: before, settings: Samples.settings)
            ).marked
        else { return }
        object.metadata.uid = "uid-child"
        object.spec.template.spec.containers[0].args.removeLast()
        object.spec.template.spec.containers[0].args = try stored().spec.template.spec
            .containers[0].args
        guard case .write(let writes) = wanted.decide(observed: .deployment(object)) else {
            Issue.record("a limit that is gone from the Site was kept")
            return
        }
        #expect(
            writes.first
                == .removeResources(
                    object.key,
                    uid: "uid-child",
                    [ContainerResources(container: "proxy", limits: ["memory"])]
                )
        )
        #expect(writes.last == .apply(wanted.marked.pinned(to: "uid-child")))
        // Whoever put it there.
        var edited = try stored()
        edited.spec.template.spec.containers[0].resources.requests["cpu"] = Quantity("1")
        #expect(wanted.decide(observed: .deployment(edited)) != .keep)
        // Another digest alone is reason enough.
        edited = try stored()
        edited.metadata.annotations[Names.appliedAnnotation] = "other"
        #expect(
            wanted.decide(observed: .deployment(edited))
                == .write([.apply(wanted.marked.pinned(to: "uid-child"))])
        )
    }

    @Test("rights that somebody added to our binding, and ports added to our slice, are taken away")
    func lists() throws {
        let binding = SiteChildren.controllerBinding(site: site, settings: Samples.settings)
        guard case .roleBinding(var found) = binding.marked.pinned(to: "u") else { return }
        #expect(binding.decide(observed: .roleBinding(found)) == .keep)
        found.subjects.append(found.subjects[0])
        found.subjects[1].name = "intruder"
        #expect(binding.decide(observed: .roleBinding(found)) != .keep)
        let slice = Child.endpointSlice(
            Discovery.EndpointSlice {
                $0.metadata = ObjectMeta(child: "s", of: site)
                $0.ports = [
                    Discovery.EndpointPort {
                        $0.name = "http"; $0.port = 1
                    }
                ]
            }
        )
        guard case .endpointSlice(var other) = slice.marked.pinned(to: "u") else { return }
        #expect(slice.decide(observed: .endpointSlice(other)) == .keep)
        other.ports.append(
            Discovery.EndpointPort {
                $0.name = "more"; $0.port = 2
            }
        )
        #expect(slice.decide(observed: .endpointSlice(other)) != .keep)
    }

    @Test(
        "what an owner of ours left behind is waited for; what one that is there has is a conflict"
    )
    func leaving() throws {
        var object = try stored()
        object.metadata.ownerReferences[0].uid = "earlier"
        let plan = ChildrenPlan(wanted: [wanted], observed: [.deployment(object)]) { _ in false }
        #expect(plan.writes.isEmpty && plan.conflicts.isEmpty && plan.waits.count == 1)
        #expect(
            ChildrenPlan(wanted: [wanted], observed: [.deployment(object)]) { $0 == "earlier" }
                .conflicts.count == 1
        )
        // Owners of other groups are none of our business.
        object.metadata.ownerReferences[0].apiVersion = "apps/v1"
        let other = ChildrenPlan(wanted: [wanted], observed: [.deployment(object)]) { _ in false }
        #expect(other.conflicts.count == 1)
    }

    @Test("a Secret of somebody else is left alone")
    func secrets() {
        let metadata = ObjectMeta(child: "tieline-sidecar", of: site)
        func ownership(_ change: (inout ObjectMeta) -> Void) -> Ownership {
            var found = metadata
            change(&found)
            return Ownership(of: found, kind: "Secret", wanted: metadata, isMarked: false) {
                $0 == "there"
            }
        }
        #expect(ownership { _ in } == .ours)
        guard
            case .foreign(let message) = ownership({
                $0.labels = [:]; $0.ownerReferences = []
            })
        else {
            Issue.record("a foreign Secret was taken over")
            return
        }
        #expect(message.contains("the Secret tieline-sidecar in namespace shop"))
        guard case .foreign = ownership({ $0.ownerReferences = [] }),
            case .foreign = ownership({ $0.ownerReferences[0].uid = "there" }),
            case .leaving = ownership({ $0.ownerReferences[0].uid = "gone" }),
            case .leaving = ownership({ $0.deletionTimestamp = Samples.now })
        else {
            Issue.record("an owner was mistaken")
            return
        }
    }

    @Test("amounts are compared as amounts, selectors as a whole")
    func comparison() {
        #expect(
            JSONComparison.contains(
                ["limits": ["cpu": "1", "memory": "1Gi"]],
                ["limits": ["cpu": "1000m"]]
            )
        )
        #expect(!JSONComparison.contains(["version": "1"], ["version": "1000m"]))
        #expect(!JSONComparison.contains(["limits": ["a": "x1"]], ["limits": ["a": "y2"]]))
        #expect(JSONComparison.contains(["limits": ["a": "1e3"]], ["limits": ["a": "1k"]]))
        #expect(
            !JSONComparison.contains(["selector": ["a": "b", "c": "d"]], ["selector": ["a": "b"]])
        )
        #expect(JSONComparison.contains(["labels": ["a": "b", "c": "d"]], ["labels": ["a": "b"]]))
        #expect(!JSONComparison.contains(["args": ["a", "b"]], ["args": ["a"]]))
    }
}
