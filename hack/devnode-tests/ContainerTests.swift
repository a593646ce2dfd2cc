import FoundationEssentials
import KubernetesAPI
import Testing

@testable import DevnodeCore

private let image = Image(entryPoint: "/bin/a", user: 65532, group: 65532, layers: ["/one"])

private func privileges(
    _ own: (inout Core.SecurityContext) -> Void = { _ in },
    pod change: (inout Core.PodSecurityContext) -> Void = { _ in },
    image: Image = image
) throws -> Privileges {
    var container = Core.Container()
    var context = Core.SecurityContext()
    own(&context)
    container.securityContext = context
    var shared = Core.PodSecurityContext()
    change(&shared)
    var pod = Core.Pod()
    pod.spec.securityContext = shared
    return try Privileges(of: container, in: pod, image: image)
}

@Suite("Images")
struct ImageTests {
    @Test("the table has a line for each image, with its layers from the top down")
    func table() throws {
        let table = try ImageTable(parsing: "a:dev /bin/a 1:2 /top /root\nb:dev /bin/b 0:0 /root\n")
        let expected = Image(entryPoint: "/bin/a", user: 1, group: 2, layers: ["/top", "/root"])
        #expect(table.images["a:dev"] == expected)
        #expect(table.images.count == 2)
    }

    @Test(
        "a line that describes no image is refused, and named",
        arguments: ["a:dev /bin/a 1:2", "a:dev /bin/a root:root /root", "a:dev /bin/a 1 /root"]
    )
    func malformed(line: String) {
        let error = #expect(throws: ImageTable.Malformed.self) {
            try ImageTable(parsing: "b:dev /bin/b 0:0 /root\n\(line)\n")
        }
        #expect(error?.description.contains(line) == true)
    }
}

@Suite("Privileges")
struct PrivilegeTests {
    @Test("a container is what its image says, with what engines leave to it")
    func usual() throws {
        let found = try privileges()
        #expect((found.user, found.group) == (65532, 65532))
        #expect(found.capabilities.count == 14)
        #expect(found.mayGainPrivileges && !found.isRootReadOnly && !found.hasSeccomp)
    }

    @Test("the container's word goes before the pod's, the pod's before the image's")
    func order() throws {
        #expect(try privileges(pod: { $0.runAsUser = 7 }).user == 7)
        #expect(try privileges(pod: { $0.runAsUser = 7 }).group == 0)
        #expect(try privileges({ $0.runAsUser = 8 }, pod: { $0.runAsUser = 7 }).user == 8)
        let shared = try privileges(pod: { $0.seccompProfile = Core.SeccompProfile() })
        #expect(shared.hasSeccomp)
        let own = try privileges(
            { $0.seccompProfile = Core.SeccompProfile { $0.type = "Unconfined" } },
            pod: { $0.seccompProfile = Core.SeccompProfile() }
        )
        #expect(!own.hasSeccomp)
    }

    @Test("capabilities are dropped before others are added")
    func capabilities() throws {
        let found = try privileges {
            $0.capabilities = Core.Capabilities {
                $0.drop = ["ALL"]
                $0.add = ["NET_BIND_SERVICE"]
            }
        }
        #expect(found.capabilities == ["CAP_NET_BIND_SERVICE"])
        let less = try privileges { $0.capabilities = Core.Capabilities { $0.drop = ["MKNOD"] } }
        #expect(less.capabilities.count == 13 && !less.capabilities.contains("CAP_MKNOD"))
    }

    @Test("who must not be root is not started as root")
    func root() throws {
        let root = Image(entryPoint: "/bin/a", user: 0, group: 0, layers: ["/one"])
        #expect(throws: ConfigurationProblem.self) {
            try privileges({ $0.runAsNonRoot = true }, image: root)
        }
        #expect(throws: ConfigurationProblem.self) {
            try privileges(pod: { $0.runAsNonRoot = true }, image: root)
        }
        #expect(try privileges({ $0.runAsNonRoot = true }).user == 65532)
    }
}

@Suite("Containers")
struct ContainerSpecTests {
    private func document(_ change: (inout ContainerSpec) -> Void = { _ in }) throws -> JSONValue {
        var spec = ContainerSpec(
            arguments: ["/bin/a", "b"],
            environment: ["Y": "2", "X": "1"],
            directory: "/",
            hostname: "pod",
            privileges: try privileges {
                $0.readOnlyRootFilesystem = true
                $0.allowPrivilegeEscalation = false
            },
            limits: [:],
            mounts: [.init(source: "/s", target: "/t", isReadOnly: true)],
            root: "/r",
            network: "/n",
            cgroup: "/c",
            seccomp: nil
        )
        change(&spec)
        return spec.document
    }

    @Test("a runtime is told what runs, as whom, and where")
    func process() throws {
        let document = try document()
        #expect(document["process"]?["args"] == ["/bin/a", "b"])
        #expect(document["process"]?["env"] == ["X=1", "Y=2"])
        #expect(document["process"]?["user"]?["uid"] == 65532)
        #expect(document["process"]?["noNewPrivileges"] == true)
        #expect(document["root"] == ["path": "/r", "readonly": true])
        let namespaces = document["linux"]?["namespaces"]?.array ?? []
        #expect(namespaces.contains(["type": "network", "path": "/n"]))
        let volume: JSONValue = [
            "destination": "/t", "type": "bind", "source": "/s",
            "options": ["rbind", "rprivate", "ro"],
        ]
        #expect(document["mounts"]?.array?.last == volume)
        #expect(document["linux"]?["seccomp"] == nil)
    }

    @Test("limits become limits of the cgroup; without them there are none")
    func limits() throws {
        let free = try document()["linux"]?["resources"]
        #expect(free?["memory"] == nil && free?["cpu"] == nil)
        let bound = try document {
            $0.limits = ["memory": Quantity("64Mi"), "cpu": Quantity("250m")]
        }["linux"]?["resources"]
        #expect(bound?["memory"] == ["limit": 67_108_864])
        #expect(bound?["cpu"] == ["quota": 25_000, "period": 100_000])
        let least = try document { $0.limits = ["cpu": Quantity("1m")] }
        #expect(least["linux"]?["resources"]?["cpu"]?["quota"] == 1000)
    }
}

@Suite("The seccomp profile")
struct SeccompTests {
    private let profile = SeccompProfile([
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "archMap": [
            ["architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]],
            ["architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]],
        ],
        "syscalls": [
            ["names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": [:]],
            [
                "names": ["mount"], "action": "SCMP_ACT_ALLOW",
                "includes": ["caps": ["CAP_SYS_ADMIN"]],
            ],
            [
                "names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EPERM",
                "excludes": ["caps": ["CAP_SYS_ADMIN"]],
            ],
            ["names": ["s390"], "action": "SCMP_ACT_ALLOW", "includes": ["arches": ["s390x"]]],
            [
                "names": ["here"], "action": "SCMP_ACT_ALLOW",
                "includes": ["arches": ["amd64", "arm64"]],
                "args": [["index": 0, "value": 8, "op": "SCMP_CMP_EQ"]],
            ],
        ],
    ])

    @Test("rules hold for the machine and for the capabilities of the container")
    func rules() {
        let filter = profile.filter(capabilities: ["CAP_CHOWN"])
        let expected: JSONValue = [
            ["names": ["read"], "action": "SCMP_ACT_ALLOW"],
            ["names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1],
            [
                "names": ["here"], "action": "SCMP_ACT_ALLOW",
                "args": [["index": 0, "value": 8, "op": "SCMP_CMP_EQ"]],
            ],
        ]
        #expect(filter["syscalls"] == expected)
        #expect(filter["defaultAction"] == "SCMP_ACT_ERRNO" && filter["defaultErrnoRet"] == 38)
        #expect(filter["architectures"]?.array?.count == 2)
    }

    @Test("who has the capability may call what needs it")
    func capable() {
        let rules = profile.filter(capabilities: ["CAP_SYS_ADMIN"])["syscalls"]?.array ?? []
        #expect(rules.contains(["names": ["mount"], "action": "SCMP_ACT_ALLOW"]))
        #expect(rules.allSatisfy { $0["errnoRet"] == nil })
    }
}
