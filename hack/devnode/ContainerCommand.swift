import CNamespaces
import DevnodeCore
import FoundationEssentials
import KubernetesAPI

/// How a container of a pod becomes a local process.
struct ContainerCommand {
    let options: NodeOptions
    let pod: Core.Pod
    let container: Core.Container
    let volumes: PodVolumes
    let references: References
    /// The pod's own folder on the node.
    let base: String
    /// Distinguishes the starts of one container.
    let number: Int32

    /// An image that the table does not have.
    struct UnknownImage: Error {
        let message: String
    }

    private static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Prepares the root folder and says what to start.
    func make(network: NetworkNamespace, output: Int32) throws -> Command {
        let image = container.image ?? ""
        guard let program = options.images[image] else {
            throw UnknownImage(
                message: "image \"\(image)\" is not in the table: \(options.images.keys.sorted())"
            )
        }
        let folder = String(program.prefix(upTo: program.lastIndex(of: "/") ?? program.startIndex))
        let variables = try container.environment(
            in: pod,
            defaults: [
                "PATH": "\(folder):\(Self.searchPath)",
                "HOME": "/root",
                "HOSTNAME": pod.metadata.name,
                "KUBERNETES_SERVICE_HOST": "kubernetes.default.svc",
                "KUBERNETES_SERVICE_PORT": "443",
            ],
            references: references
        )
        var words = (container.command + container.args).map { expand($0, with: variables) }
        if container.command.isEmpty {
            words.insert(program, at: 0)
        } else if words[0].split(separator: "/").last == program.split(separator: "/").last {
            // Where the real image has its program does not matter here.
            words[0] = program
        }
        return Command(
            path: words[0],
            arguments: Array(words.dropFirst()),
            environment: variables,
            directory: container.workingDir,
            network: network.descriptor,
            output: output,
            isolation: try isolation(programs: folder)
        )
    }

    /// Where the Swift runtime is that this program uses: the images from the same build need it.
    private static let swiftRuntime: String = {
        guard let library = unsafe cns_library("swift_retain") else { return "" }
        let path = unsafe String(cString: library)
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }()

    /// Folders that every root file system has.
    private static let always: Set = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib", ""]

    private func isolation(programs: String) throws -> Isolation {
        let folder = "\(base)/containers/\(container.name)"
        if number > 0 { Files.remove("\(folder)/\(number - 1)") }
        let root = "\(folder)/\(number)"
        for part in ["upper", "work", "root"] { try Files.makeDirectory("\(root)/\(part)") }
        var mounts: [Isolation.Mount] = [
            .init(kind: .proc, target: "/proc"),
            .init(kind: .directory, source: "/dev", target: "/dev"),
            .init(kind: .directory, source: "/sys", target: "/sys"),
            .init(kind: .tmpfs, source: "mode=1777", target: "/tmp"),
            .init(kind: .tmpfs, source: "mode=755", target: "/run"),
            .init(
                kind: .file,
                source: "\(base)/resolv.conf",
                target: "/etc/resolv.conf",
                isReadOnly: true
            ),
            .init(
                kind: .file,
                source: "\(base)/hosts",
                target: "/etc/hosts",
                isReadOnly: true
            ),
        ]
        // The overlay shows the root file system only: the programs may be on another one, or in /tmp, and so may Swift.
        for folder in Set([programs, Self.swiftRuntime]).subtracting(Self.always).sorted() {
            mounts.append(.init(kind: .directory, source: folder, target: folder, isReadOnly: true))
        }
        return Isolation(
            hostname: String(pod.metadata.name.prefix(63)),
            overlay: "lowerdir=/,upperdir=\(root)/upper,workdir=\(root)/work",
            root: "\(root)/root",
            mounts: mounts + (try volumes.mounts(of: container)),
            isReadOnly: container.securityContext?.readOnlyRootFilesystem == true
        )
    }
}
