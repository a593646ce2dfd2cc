package import NetworkModel
import Proxy
package import ProxyContract
package import SiteControl

/// What `tieline-proxy run` was told.
package struct RunOptions: Sendable {
    package enum Mode: Sendable {
        /// A gateway in a cluster.
        case gateway(GatewayOptions)
        /// A site of its own, described by files.
        case site(PlainSiteOptions)
        /// A sidecar.
        case sidecar(SidecarOptions)
    }

    package var mode: Mode
    /// Where `/healthz`, `/readyz`, `/metrics` and `/v1/snapshot` are.
    package var admin: Endpoint
    /// The address of all listeners; nil: every address.
    package var bind: IPAddress?
    /// Event loops; nil: as configured.
    package var loops: Int?
    /// The file into which goes what the control is fed; nil: nowhere.
    package var record: String?

    package init(
        mode: Mode,
        admin: Endpoint,
        bind: IPAddress? = nil,
        loops: Int? = nil,
        record: String? = nil
    ) {
        self.mode = mode
        self.admin = admin
        self.bind = bind
        self.loops = loops
        self.record = record
    }
}

/// What a sidecar is told.
package struct SidecarOptions: Sendable {
    /// Where the Secret `tieline-sidecar` is mounted.
    package var credentials: String
    package var gateways: HostAndPort
    package var listeners: [SidecarListener]
    /// It is told to end after its workload has ended, as Kubernetes does with sidecars of its own kind.
    package var endsLast: Bool

    package init(
        credentials: String,
        gateways: HostAndPort,
        listeners: [SidecarListener],
        endsLast: Bool = false
    ) {
        self.credentials = credentials
        self.gateways = gateways
        self.listeners = listeners
        self.endsLast = endsLast
    }
}

/// The folders of a plain site.
package struct PlainSiteOptions: Sendable {
    /// Where the manifests are.
    package var directory: String
    /// Where identity and status are kept; nil: `SiteState` chooses.
    package var state: String?
    /// May become another site when the identity is gone.
    package var renewsIdentity: Bool
    /// What `SiteState` looks at.
    package var environment: [String: String]

    package init(
        directory: String,
        state: String? = nil,
        renewsIdentity: Bool = false,
        environment: [String: String] = [:]
    ) {
        self.directory = directory
        self.state = state
        self.renewsIdentity = renewsIdentity
        self.environment = environment
    }
}

/// The directories and names of a gateway in a cluster.
package struct GatewayOptions: Sendable {
    /// Where the Secret `tieline-proxy` is mounted.
    package var configuration: String
    /// Where the Secret `tieline-proxy-credentials` is mounted.
    package var credentials: String
    /// Where the last state is kept; survives a restart of the container, not of the pod.
    package var state: String?
    /// The pod's namespace; nil: the API server is not asked, mounted files are all there is.
    package var namespace: String?
    /// The pod's address; of servers with several, the one of its family is taken.
    package var address: IPAddress?

    package init(
        configuration: String,
        credentials: String,
        state: String?,
        namespace: String?,
        address: IPAddress? = nil
    ) {
        self.configuration = configuration
        self.credentials = credentials
        self.state = state
        self.namespace = namespace
        self.address = address
    }
}
