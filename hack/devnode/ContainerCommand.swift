import DevnodeCore
import KubernetesAPI

/// What a container of a pod runs and sees, as its runtime is told.
struct ContainerCommand {
    let pod: Core.Pod
    let container: Core.Container
    let image: Image
    let volumes: PodVolumes
    let references: References
    /// The pod's own folder on the node.
    let base: String

    func spec(
        in bundle: Runtime.Bundle,
        network: NetworkNamespace,
        runtime: Runtime
    ) throws -> ContainerSpec {
        let privileges = try Privileges(of: container, in: pod, image: image)
        let hostname = String(pod.metadata.name.prefix(63))
        let variables = try container.environment(
            in: pod,
            defaults: [
                "PATH": Command.searchPath,
                "HOME": privileges.user == 0 ? "/root" : "/",
                "HOSTNAME": hostname,
                "KUBERNETES_SERVICE_HOST": "kubernetes.default.svc",
                "KUBERNETES_SERVICE_PORT": "443",
            ],
            references: references
        )
        let command = container.command.isEmpty ? [image.entryPoint] : container.command
        return ContainerSpec(
            arguments: (command + container.args).map { expand($0, with: variables) },
            environment: variables,
            directory: container.workingDir ?? "/",
            hostname: hostname,
            privileges: privileges,
            limits: container.resources.limits,
            mounts: names + (try volumes.mounts(of: container)),
            root: bundle.root,
            network: network.path,
            cgroup: bundle.cgroup,
            seccomp: runtime.filter(for: privileges)
        )
    }

    private var names: [ContainerSpec.Mount] {
        ["resolv.conf", "hosts"].map {
            ContainerSpec.Mount(source: "\(base)/\($0)", target: "/etc/\($0)", isReadOnly: true)
        }
    }
}
