import KubernetesAPI
import KubernetesClient
package import Logging
import NetworkAPI

/// The installation that a command of `tieline-controller` works on.
package struct ClusterPlace: Sendable {
    let client: KubernetesClient
    /// Where the controllers run.
    let namespace: String
    let logger: Logger

    package init(
        kubeconfig: String?,
        context: String?,
        namespace: String,
        logger: Logger
    ) throws {
        let configuration = try ClientConfiguration.load(kubeconfig: kubeconfig, context: context)
        client = KubernetesClient(configuration: configuration, userAgent: Names.controller)
        self.namespace = namespace
        self.logger = logger
    }

    /// The controllers' Deployment, and their Lease.
    var controllers: ObjectKey { ObjectKey(namespace: namespace, name: Names.controller) }
}

/// A command that did not reach what it is for.
struct CommandFailed: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
