package import NetworkModel
package import ProxyContract
package import SiteControl

/// What a proxy is told once, at its start.
package struct ProxyOptions: Sendable {
    package enum Role: Sendable {
        /// Links, the mesh, sidecars, listeners; `mesh` is the headless name of all gateways of the site (nil: alone).
        case gateway(mesh: HostAndPort?)
        /// A sidecar: attaches to every address of `gateways`, listens as told, and drains after its workload (`endsLast`) or beside it.
        case sidecar(gateways: HostAndPort, listeners: [SidecarListener], endsLast: Bool = false)
    }

    package var role: Role
    /// The address that listeners bind unless the configuration names one; nil: every address.
    package var bind: IPAddress?
    package var linkPort: UInt16
    /// Where siblings and sidecars come in; nil: nobody does, as at a plain site.
    package var internalPort: UInt16?
    /// Where the process answers for health and metrics, which is no server of anybody's.
    package var admin: Endpoint?
    /// Event loops; nil: one per core that the process may use, at most eight.
    package var loops: Int?
    /// Told the identity of this instance before it begins, which keeps it for the next one; answers with those that were
    /// before it in its place, and have ended for certain.
    package var predecessors: @Sendable (ProxyID) -> [ProxyID]
    /// The file into which goes what the control is fed; nil: nowhere.
    package var record: String?

    /// The name of the own site's gateways; nil for one that is alone.
    var gateways: HostAndPort? {
        switch role {
        case .gateway(let mesh): mesh
        case .sidecar(let gateways, _, _): gateways
        }
    }

    /// A gateway of a cluster, among others.
    var isInCluster: Bool {
        if case .gateway(.some) = role { true } else { false }
    }

    package init(
        role: Role,
        bind: IPAddress? = nil,
        linkPort: UInt16 = 5671,
        internalPort: UInt16? = 5672,
        admin: Endpoint? = nil,
        loops: Int? = nil,
        predecessors: @escaping @Sendable (ProxyID) -> [ProxyID] = { _ in [] },
        record: String? = nil
    ) {
        self.role = role
        self.bind = bind
        self.linkPort = linkPort
        self.internalPort = internalPort
        self.admin = admin
        self.loops = loops
        self.predecessors = predecessors
        self.record = record
    }
}

/// A leaf with its key, as the Secrets carry them.
package struct ProxyCredentials: Hashable, Sendable {
    /// PEM: the leaf, then the site's CA.
    package var certificateChain: String
    /// PEM, unencrypted.
    package var privateKey: String

    package init(certificateChain: String, privateKey: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }
}

/// Why a proxy could not start, or keeps what it had.
package enum ProxyError: Error, Equatable {
    case credentials(String)
    case listen(port: UInt16, String)
    case system(String)
}
