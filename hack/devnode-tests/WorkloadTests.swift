import FoundationEssentials
import KubernetesAPI
import NetworkModel
import Testing

@testable import DevnodeCore

private func workload(_ replicas: Int32, strategy: String? = nil, image: String = "a") -> Workload {
    Workload {
        $0.metadata = ObjectMeta(name: "web", namespace: "shop")
        $0.metadata.uid = "w"
        $0.spec.replicas = replicas
        $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
        $0.spec.template = [
            "metadata": ["labels": ["app": "web"]],
            "spec": ["containers": [["name": "main", "image": .string(image)]]],
        ]
        if let strategy { $0.spec.strategy = Apps.DeploymentStrategy { $0.type = strategy } }
    }
}

private func member(_ name: String, _ hash: String, ready: Bool = true, leaving: Bool = false)
    -> Rollout.Member
{
    Rollout.Member(name: name, hash: hash, isReady: ready, isTerminating: leaving)
}

@Suite("Rollouts")
struct RolloutTests {
    @Test("an empty Deployment gets all its pods at once")
    func first() {
        let rollout = Rollout(of: workload(3), members: [], hash: "n")
        #expect(rollout.create == 3)
        #expect(rollout.delete.isEmpty)
    }

    @Test("a rolling update never has fewer ready pods than allowed, and ends")
    func rolling() {
        var members = (0..<4).map { member("o\($0)", "o") }
        var number = 0
        for _ in 0..<40 {
            let rollout = Rollout(of: workload(4), members: members, hash: "n")
            if rollout.create == 0, rollout.delete.isEmpty { break }
            members.removeAll { rollout.delete.contains($0.name) }
            #expect(members.count { $0.isReady } >= 3)
            for _ in 0..<rollout.create {
                members.append(member("n\(number)", "n", ready: false))
                number += 1
            }
            #expect(members.count <= 5)
            if let waiting = members.firstIndex(where: { !$0.isReady }) {
                members[waiting].isReady = true
            }
        }
        #expect(members.allSatisfy { $0.hash == "n" && $0.isReady })
        #expect(members.count == 4)
    }

    @Test("Recreate waits until the old pods are gone")
    func recreate() {
        let workload = workload(1, strategy: "Recreate")
        #expect(Rollout(of: workload, members: [member("o", "o")], hash: "n").delete == ["o"])
        let leaving = [member("o", "o", leaving: true)]
        #expect(Rollout(of: workload, members: leaving, hash: "n").create == 0)
        #expect(Rollout(of: workload, members: [], hash: "n").create == 1)
    }

    @Test("scaling down gives up pods that are not ready first")
    func scaleDown() {
        let members = [member("a", "n"), member("b", "n", ready: false), member("c", "n")]
        #expect(Rollout(of: workload(2), members: members, hash: "n").delete == ["b"])
        #expect(Rollout(of: workload(0), members: members, hash: "n").delete.count == 3)
    }

    @Test("the revision's name follows from the template alone")
    func revisions() throws {
        let one = workload(1).revision(number: 1)
        #expect(one.metadata.name == workload(5).revision(number: 2).metadata.name)
        #expect(one.metadata.name != workload(1, image: "b").revision(number: 1).metadata.name)
        let pod = PodFromTemplate(one.spec.template, of: one, name: "p", node: "node")
        #expect(pod.metadata.labels == ["app": "web", Revision.hashLabel: one.hash])
        #expect(pod.spec["nodeName"]?.string == "node")
    }
}

@Suite("Pods")
struct PodTests {
    private let references = References(
        secret: { key in
            guard key.name == "keys" else { return nil }
            return Core.Secret { $0.data = ["a": .init("one".utf8), "b": .init("two".utf8)] }
        },
        configMap: { _ in nil }
    )

    private let pod = Core.Pod {
        $0.metadata = ObjectMeta(name: "p", namespace: "shop", labels: ["app": "web"])
        $0.status.podIP = "10.244.0.2"
    }

    @Test(
        "$(NAME) is replaced when NAME is known",
        arguments: [
            ("$(A)-$(B)", "1-2"), ("$$(A)", "$(A)"), ("$(C) $", "$(C) $"), ("$(A", "$(A"), ("", ""),
        ]
    )
    func expansion(text: String, expected: String) {
        #expect(expand(text, with: ["A": "1", "B": "2"]) == expected)
    }

    @Test("variables come from values, fields and Secrets, earlier ones are known to later ones")
    func environment() throws {
        let container = Core.Container {
            $0.env = [
                Core.EnvVar(name: "IP", fieldPath: "status.podIP"),
                Core.EnvVar(name: "LABEL", fieldPath: "metadata.labels['app']"),
                Core.EnvVar(name: "ADDRESS", value: "$(IP):80"),
                Core.EnvVar {
                    $0.name = "KEY"
                    $0.valueFrom = Core.EnvVarSource { source in
                        source.secretKeyRef = Core.KeySelector {
                            $0.name = "keys"
                            $0.key = "a"
                        }
                    }
                },
            ]
        }
        let values = try container.environment(
            in: pod,
            defaults: ["X": "y"],
            references: references
        )
        #expect(
            values == [
                "IP": "10.244.0.2", "LABEL": "web", "ADDRESS": "10.244.0.2:80", "KEY": "one",
                "X": "y",
            ]
        )
    }

    @Test("a missing Secret is a problem unless it is optional")
    func missing() throws {
        let volume = Core.Volume { volume in
            volume.name = "v"
            volume.secret = Core.SecretVolumeSource { $0.secretName = "none" }
        }
        #expect(throws: ConfigurationProblem.self) {
            try VolumeFiles(of: volume, in: pod, references: references)
        }
        var optional = volume
        optional.secret?.optional = true
        #expect(try VolumeFiles(of: optional, in: pod, references: references)?.files == [:])
    }

    @Test("every container gets the token volume once")
    func tokens() throws {
        var pod = pod
        pod.spec.containers = [Core.Container { $0.name = "main" }]
        let changed = pod.withTokenVolume()
        #expect(
            changed.spec.containers[0].volumeMounts.map(\.mountPath) == [Core.Pod.tokenMountPath]
        )
        let volume = try #require(changed.spec.volumes.last)
        #expect(throws: ConfigurationProblem("configmap \"kube-root-ca.crt\" not found")) {
            try VolumeFiles(of: volume, in: changed, references: references)
        }
    }

    @Test("a pod is ready when its sidecars and containers are, and ends with its containers")
    func summary() {
        var pod = pod
        pod.spec.initContainers = [
            Core.Container {
                $0.name = "side"
                $0.restartPolicy = "Always"
            }
        ]
        pod.spec.containers = [Core.Container { $0.name = "main" }]
        var summary = PodSummary(of: pod, hostIPs: ["10.244.0.1"], startTime: Timestamp(seconds: 1))
        #expect(summary.phase == "Pending")
        summary.initialized = true
        for index in summary.containers.indices {
            summary.containers[index].state = .running(since: Timestamp(seconds: 2))
        }
        #expect(summary.phase == "Running")
        #expect(!summary.isReady)
        summary.containers[0].ready = true
        #expect(!summary.isReady)
        summary.containers[1].ready = true
        #expect(summary.isReady)
        let first = summary.status(after: [], at: Timestamp(seconds: 3))
        let later = summary.status(after: first.conditions, at: Timestamp(seconds: 9))
        #expect(first == later)
        summary.containers[1].state = .terminated(
            exitCode: 137,
            isShortOfMemory: true,
            startedAt: Timestamp(seconds: 2),
            finishedAt: Timestamp(seconds: 3)
        )
        #expect(summary.containers[1].state.terminated?.reason == "OOMKilled")
        #expect(summary.phase == "Running", "it is about to be started again")
        summary.containers[1].hasEnded = true
        #expect(summary.phase == "Failed")
    }
}

@Suite("Probes and restarts")
struct ProbeTests {
    @Test("failures count once per period until the first verdict, then each time")
    func counting() {
        var machine = ProbeMachine(Core.Probe { $0.failureThreshold = 2 })
        #expect(machine.interval == .milliseconds(100))
        #expect(machine.record(success: false, after: .zero) == .undecided)
        for _ in 0..<99 {
            #expect(machine.record(success: false, after: .milliseconds(100)) == .undecided)
        }
        #expect(machine.record(success: false, after: .milliseconds(100)) == .failing)
        #expect(machine.record(success: true, after: .seconds(10)) == .passing)
        #expect(machine.interval == .seconds(10))
        #expect(machine.record(success: false, after: .seconds(10)) == .passing)
        #expect(machine.record(success: false, after: .seconds(10)) == .failing)
    }

    @Test("the wait doubles up to its limit and is forgotten after a long run")
    func backoff() {
        var backoff = RestartBackoff(initial: .milliseconds(200), limit: .seconds(1))
        let waits = (0..<5).map { _ in backoff.next(afterRunning: .zero) }
        #expect(
            waits == [
                .milliseconds(200), .milliseconds(400), .milliseconds(800), .seconds(1),
                .seconds(1),
            ]
        )
        #expect(backoff.next(afterRunning: .seconds(5)) == .milliseconds(200))
    }
}

@Suite("Ownership and addresses")
struct BookkeepingTests {
    private let resource = Core.Pod.resource

    private func metadata(_ uid: String, owners: [String] = []) -> ObjectMeta {
        var metadata = ObjectMeta(
            name: uid,
            namespace: "shop",
            ownerReferences: owners.map {
                OwnerReference(apiVersion: "v1", kind: "Pod", name: $0, uid: $0)
            }
        )
        metadata.uid = uid
        return metadata
    }

    @Test("the dependents of what goes are found, one with another owner left is kept")
    func ownership() {
        var graph = OwnershipGraph()
        graph.set(resource, metadata("a"))
        graph.set(resource, metadata("b"))
        graph.set(resource, metadata("x", owners: ["a"]))
        graph.set(resource, metadata("y", owners: ["a", "b"]))
        #expect(graph.unknownOwners(of: "x").isEmpty)
        #expect(graph.remove(uid: "a").map(\.uid) == ["x", "y"])
        #expect(graph.unknownOwners(of: "x").map(\.uid) == ["a"])
        #expect(graph.unknownOwners(of: "y").map(\.uid) == ["a"])
        graph.set(resource, metadata("y", owners: ["b"]))
        #expect(graph.unknownOwners(of: "y").isEmpty)
        #expect(graph.dependents(of: "b").map(\.uid) == ["y"])
        #expect(graph.dependents(of: "a").map(\.uid) == ["x"])
    }

    @Test("K15: after a gap whatever has no known owner is looked at, and nothing else")
    func orphans() {
        var graph = OwnershipGraph()
        graph.set(resource, metadata("a"))
        graph.set(resource, metadata("x", owners: ["a"]))
        graph.set(resource, metadata("y", owners: ["gone"]))
        graph.set(resource, metadata("z", owners: ["a", "gone"]))
        #expect(graph.orphans == ["y"])
        _ = graph.remove(uid: "a")
        #expect(graph.orphans == ["x", "y", "z"])
    }

    @Test(
        "addresses come in order, freed ones come round last, and a full pool gives none",
        arguments: [("10.0.0.", "0", 29), ("fd00::", "", 125)]
    )
    func addresses(net: String, zero: String, prefix: Int) throws {
        var pool = try #require(AddressPool(base: net + zero, prefix: prefix, reserved: 1))
        let claims = ["3", "3", "8"].map { pool.claim(net + $0) }
        #expect(claims == [true, false, false])
        #expect(pool.take() == net + "2")
        pool.free(net + "2")
        #expect(pool.take() == net + "4")
        #expect(pool.take() == net + "5")
        #expect(pool.take() == net + "6")
        #expect(pool.take() == net + "2")
        #expect(pool.take() == nil)
    }
}
