import DevnodeCore
import FoundationEssentials
import Glibc
import KubernetesAPI

/// Runs containers with runc, as a container engine does for a kubelet.
///
/// All that it makes is in devnode's own mount and PID namespace and ends with devnode, in whatever way that ends. Only
/// the cgroups are the machine's; `hack/cluster.sh` removes them by their names.
struct Runtime: Sendable {
    /// One container, from its bundle to its removal.
    struct Bundle: Sendable {
        /// Unique in the cluster.
        let id: String
        let folder: String
        let cgroup: String

        var root: String { "\(folder)/root" }
    }

    /// A container that did not start, in the words of runc.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    private let processes: ProcessTable
    private let cluster: String
    private let folder: String
    private let seccomp: SeccompProfile

    init(processes: ProcessTable, options: NodeOptions) throws {
        self.processes = processes
        cluster = options.cluster
        folder = "\(options.work)/runtime"
        try Files.makeDirectory(folder)
        let profile = try Files.read("\(options.state)/seccomp.json")
        seccomp = SeccompProfile(try JSONDecoder().decode(JSONValue.self, from: profile))
    }

    /// A place for a container whose root is an image with a layer of its own on top.
    func makeBundle(_ id: String, of image: Image) throws -> Bundle {
        let bundle = Bundle(
            id: id,
            folder: "\(folder)/bundles/\(id)",
            // Not below a cgroup of the cluster: a container has the share of the processor that any process has.
            cgroup: "/tieline-cluster-\(cluster).\(id)"
        )
        for part in ["upper", "work", "root"] {
            try Files.makeDirectory("\(bundle.folder)/\(part)")
        }
        let layers = image.layers.joined(separator: ":")
        let options =
            "lowerdir=\(layers),upperdir=\(bundle.folder)/upper,workdir=\(bundle.folder)/work"
        try SystemError.checkErrno(
            unsafe mount("overlay", bundle.root, "overlay", 0, options),
            "mount the root of \(id)"
        )
        return bundle
    }

    func filter(for privileges: Privileges) -> JSONValue? {
        privileges.hasSeccomp ? seccomp.filter(capabilities: privileges.capabilities) : nil
    }

    /// Starts a container and returns its first process, a child of devnode.
    ///
    /// `mayStart` is asked at the last moment; a container that must not start any more is a `Refusal`.
    func start(
        _ bundle: Bundle,
        _ spec: ContainerSpec,
        output: Int32,
        mayStart: () async -> Bool
    ) async throws -> pid_t {
        try Files.write(
            try JSONEncoder().encode(spec.document),
            to: "\(bundle.folder)/config.json"
        )
        let number = "\(bundle.folder)/pid"
        try await runc(
            ["create", "--bundle", bundle.folder, "--pid-file", number, bundle.id],
            bundle,
            output
        )
        let text = String(decoding: try Files.read(number), as: UTF8.self)
        guard let pid = pid_t(text) else { throw Refusal(description: "runc gave no PID: \(text)") }
        // It waits for `start`, so it is there to be adopted; if it was killed, `start` fails.
        processes.adopt(pid)
        do {
            guard await mayStart() else { throw Refusal(description: "the pod ends") }
            try await runc(["start", bundle.id], bundle, output)
        } catch {
            processes.abandon(pid)
            throw error
        }
        return pid
    }

    /// Whether something in the container was killed for want of memory; asked before its removal.
    func wasShortOfMemory(_ bundle: Bundle) -> Bool {
        let counters = [
            "/sys/fs/cgroup/memory\(bundle.cgroup)/memory.oom_control",
            "/sys/fs/cgroup\(bundle.cgroup)/memory.events",
        ]
        let text = counters.compactMap { try? Files.read($0) }.first ?? Data()
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
            .contains { $0.hasPrefix("oom_kill ") && $0 != "oom_kill 0" }
    }

    /// Removes what is left of a container, whatever state it is in.
    func remove(_ bundle: Bundle) async {
        if let output = try? Files.appending("/dev/null") {
            defer { close(output) }
            try? await runc(["delete", "--force", bundle.id], bundle, output)
        }
        unsafe umount2(bundle.root, Int32(MNT_DETACH))
        Files.remove(bundle.folder)
    }

    private func runc(_ words: [String], _ bundle: Bundle, _ output: Int32) async throws {
        let log = "\(bundle.folder)/log"
        let options = ["--root", "\(folder)/state", "--log", log, "--log-format", "json"]
        let code = try await processes.run(
            Command(words: ["runc"] + options + words, output: output)
        )
        guard code != 0 else { return }
        let lines = (try? Files.read(log)) ?? Data()
        let last = lines.split(separator: UInt8(ascii: "\n")).last ?? Data()
        let entry = try? JSONDecoder().decode(JSONValue.self, from: last)
        throw Refusal(description: entry?["msg"]?.string ?? "runc \(words[0]) ended with \(code)")
    }
}
