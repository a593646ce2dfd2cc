import DevnodeCore
import KubernetesAPI
import NetworkModel
import Testing

@Suite("Jobs")
struct JobTests {
    private let now = Timestamp(seconds: 1_800_000_000)

    private func job(completions: Int = 1, parallelism: Int = 1, backoffLimit: Int = 1) -> Job {
        Job {
            $0.metadata = ObjectMeta(name: "once", namespace: "a")
            $0.spec.completions = completions
            $0.spec.parallelism = parallelism
            $0.spec.backoffLimit = backoffLimit
        }
    }

    @Test("a Job makes as many Pods as it may have at once, and no more than it needs")
    func create() {
        #expect(job().step([], at: now).create == 0..<1)
        #expect(job().step(["Pending"], at: now).create.isEmpty)
        #expect(job(completions: 3, parallelism: 2).step(["Succeeded"], at: now).create == 1..<3)
        #expect(job(completions: 2, parallelism: 2).step(["Succeeded"], at: now).create == 1..<2)
        #expect(job().step(["Failed"], at: now).create == 1..<2)
    }

    @Test("it is complete when enough have succeeded, and failed when too many have failed")
    func end() {
        func ended(_ phases: [String]) -> String? {
            var after = job()
            after.status = after.step(phases, at: now).status
            return after.hasEnded ? after.status.conditions.first?.type : nil
        }
        #expect(ended(["Running"]) == nil)
        #expect(ended(["Failed", "Succeeded"]) == "Complete")
        #expect(ended(["Failed"]) == nil)
        #expect(ended(["Failed", "Failed"]) == "Failed")
    }

    @Test("variables of a pod's network are paths of its own /proc/sys/net")
    func variables() {
        let variable = Core.Sysctl {
            $0.name = "net.ipv4.ip_unprivileged_port_start"
            $0.value = "80"
        }
        #expect(PodVariables.areSafe.contains(variable.name))
        #expect(!PodVariables.areSafe.contains("kernel.msgmax"))
        let path = PodVariables.paths([variable]).first
        #expect(path?.name == "ipv4/ip_unprivileged_port_start")
        #expect(path?.value == "80")
    }
}
