import DevnodeCore

/// What a node is told at its start.
struct NodeOptions: Sendable {
    static let nodeName = "node"

    /// The cluster's name, for messages.
    var cluster: String
    /// The folder on the host that logs go to and that `hack/cluster.sh` reads.
    var state: String
    /// What the cluster's pods and Services have addresses of.
    var families: ClusterFamilies
    var images: ImageTable
    /// How long the Service rules lag behind the EndpointSlices.
    var proxyDelay: Duration
    /// The first wait before a container is started again.
    var restartDelay: Duration
    /// The longest wait before a container is started again.
    var restartLimit: Duration

    /// In devnode's own mount namespace: it goes with the process.
    let work = "/run/devnode"
}
