package import KubernetesAPI

/// A container as a runtime is told about it: what goes into the `config.json` of an OCI bundle.
package struct ContainerSpec: Sendable {
    /// A file or folder of the node that a container sees.
    package struct Mount: Equatable, Sendable {
        package var source: String
        package var target: String
        package var isReadOnly: Bool

        package init(source: String, target: String, isReadOnly: Bool) {
            self.source = source
            self.target = target
            self.isReadOnly = isReadOnly
        }
    }

    package var arguments: [String]
    package var environment: [String: String]
    package var directory: String
    package var hostname: String
    package var privileges: Privileges
    package var limits: [String: Quantity]
    /// Parents before what is inside them.
    package var mounts: [Mount]
    /// Paths on the node: the folder that is the root, and the network namespace.
    package var root: String
    package var network: String
    package var cgroup: String
    /// What `SeccompProfile` made for it.
    package var seccomp: JSONValue?

    package init(
        arguments: [String],
        environment: [String: String],
        directory: String,
        hostname: String,
        privileges: Privileges,
        limits: [String: Quantity],
        mounts: [Mount],
        root: String,
        network: String,
        cgroup: String,
        seccomp: JSONValue?
    ) {
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.hostname = hostname
        self.privileges = privileges
        self.limits = limits
        self.mounts = mounts
        self.root = root
        self.network = network
        self.cgroup = cgroup
        self.seccomp = seccomp
    }

    package var document: JSONValue {
        [
            "ociVersion": "1.0.2",
            "process": process,
            "root": ["path": .string(root), "readonly": .bool(privileges.isRootReadOnly)],
            "hostname": .string(hostname),
            "mounts": .array(Self.systemMounts + mounts.map(\.document)),
            "linux": linux,
        ]
    }

    private var process: JSONValue {
        let capabilities = JSONValue(privileges.capabilities)
        return [
            "terminal": false,
            "user": [
                "uid": .integer(privileges.user), "gid": .integer(privileges.group),
                "additionalGids": .array(privileges.groups.map(JSONValue.integer)),
            ],
            "args": JSONValue(arguments),
            "env": JSONValue(environment.map { "\($0.key)=\($0.value)" }.sorted()),
            "cwd": .string(directory),
            "capabilities": [
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            ],
            "noNewPrivileges": .bool(!privileges.mayGainPrivileges),
            "rlimits": [],
        ]
    }

    private var linux: JSONValue {
        var linux: [String: JSONValue] = [
            "namespaces": [
                ["type": "pid"], ["type": "ipc"], ["type": "uts"], ["type": "mount"],
                ["type": "network", "path": .string(network)],
            ],
            "cgroupsPath": .string(cgroup),
            "resources": resources,
            "maskedPaths": JSONValue(Self.masked),
            "readonlyPaths": JSONValue(Self.readOnly),
        ]
        linux["seccomp"] = seccomp
        return .object(linux)
    }

    /// Limits only: requests are for a scheduler that has a choice.
    private var resources: JSONValue {
        var resources: [String: JSONValue] = [
            "devices": [["allow": false, "access": "rwm"]]
        ]
        if let memory = limits["memory"]?.value {
            resources["memory"] = ["limit": .integer(memory)]
        }
        if let processors = limits["cpu"]?.milli {
            let period: Int64 = 100_000
            let quota = max(1000, processors * period / 1000)
            resources["cpu"] = ["quota": .integer(quota), "period": .integer(period)]
        }
        return .object(resources)
    }

    private static let systemMounts: [JSONValue] = [
        system("/proc", "proc", "nosuid", "noexec", "nodev"),
        system("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        system(
            "/dev/pts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5"
        ),
        system("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        system("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        system("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        system("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
    ]

    private static func system(_ target: String, _ type: String, _ options: String...) -> JSONValue
    {
        [
            "destination": .string(target), "type": .string(type), "source": .string(type),
            "options": JSONValue(options),
        ]
    }

    /// What of the kernel no container needs to see, and what none may change: as engines have it.
    private static let masked = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
    ]
    private static let readOnly = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]
}

extension ContainerSpec.Mount {
    fileprivate var document: JSONValue {
        [
            "destination": .string(target), "type": "bind", "source": .string(source),
            "options": ["rbind", "rprivate", isReadOnly ? "ro" : "rw"],
        ]
    }
}

extension JSONValue {
    fileprivate init(_ texts: [String]) { self = .array(texts.map(JSONValue.string)) }
}
