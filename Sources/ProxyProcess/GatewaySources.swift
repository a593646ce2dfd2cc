import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import Proxy
import ProxyContract
import SiteFolder

/// A folder into which a kubelet mounts a Secret.
struct MountedSecret {
    let directory: String
    /// What `..data` led to when the files were read last.
    private var read: String?

    init(directory: String) { self.directory = directory }

    /// Reads the files, unless they are those that were read last: a kubelet makes a new folder for each change.
    ///
    /// Files that no `..data` leads to are read always. What throws is done again.
    mutating func ifChanged(_ body: () throws -> Void) rethrows {
        let now = Files.target(ofLink: "\(directory)/..data")
        if let now, now == read { return }
        try body()
        read = now
    }
}

/// Where a gateway in a cluster learns what to do.
///
/// The configuration comes from three sources: what was kept, the mounted Secret, and a watch of it, which is fastest.
/// None of them is needed while another one is there. Only the head is mounted and watched; its parts, once there are any,
/// are read from the API server, or were kept.
struct GatewaySources: Sendable {
    let keeper: ConfigurationKeeper
    let credentials: CredentialsKeeper
    private let endpoints: EndpointSource
    private let state: StateDirectory?
    private let gateway: GatewayOptions
    private let logger: Logger

    init(
        _ gateway: GatewayOptions,
        credentials first: ProxyCredentials,
        dataPlane: any DataPlane,
        _ logger: Logger
    ) {
        let state = gateway.state.map { StateDirectory($0, logger: logger) }
        keeper = ConfigurationKeeper(dataPlane: dataPlane, directory: state, logger: logger)
        credentials = CredentialsKeeper(current: first, dataPlane: dataPlane, logger: logger)
        endpoints = EndpointSource(
            dataPlane: dataPlane,
            directory: state,
            prefersV4: gateway.address?.isV4 ?? true
        )
        self.state = state
        self.gateway = gateway
        self.logger = logger
    }

    /// Gives the data plane what was kept.
    func restore() {
        endpoints.restore()
        if let document = state?.loadConfiguration() { keeper.restore(document) }
    }

    /// What follows the sources, each until its task is canceled.
    func work() -> [@Sendable () async -> Void] {
        do {
            return work(
                client: KubernetesClient(configuration: try .load(), userAgent: "tieline-proxy")
            )
        } catch {
            logger.warning("the API server is not followed", metadata: ["reason": "\(error)"])
            return work(client: nil)
        }
    }

    /// The same; without a client the mounted files are all there is.
    func work(client: KubernetesClient?) -> [@Sendable () async -> Void] {
        let mounts: @Sendable () async -> Void = { await followMounts() }
        guard let client, let namespace = gateway.namespace else {
            return [mounts, { [keeper] in await PartSource(keeper: keeper, server: nil).run() }]
        }
        return [mounts] + cluster(client, namespace)
    }

    /// Reads the mounted Secrets, now and whenever they change.
    private func followMounts() async {
        let file = "\(gateway.configuration)/\(ConfigurationDocument.fileName)"
        var head = MountedSecret(directory: gateway.configuration)
        var leafs = MountedSecret(directory: gateway.credentials)
        func read() {
            do {
                try head.ifChanged {
                    if let bytes = try Files.read(file) { keeper.offer(bytes, from: .mounted) }
                }
                try leafs.ifChanged {
                    if let pair = try ProxyCredentials.read(from: gateway.credentials) {
                        credentials.offer(pair)
                    }
                }
            } catch {
                logger.warning("a mounted Secret cannot be read", metadata: ["error": "\(error)"])
            }
        }
        let watch = DirectoryWatch(directories: [gateway.configuration, gateway.credentials])
        await watch.forEachChange {
            read()
            return nil
        }
    }

    private func cluster(
        _ client: KubernetesClient,
        _ namespace: String
    ) -> [@Sendable () async -> Void] {
        let configuration = secret(ChildName.configurationSecret, namespace, client) {
            [keeper] secret in
            guard let bytes = secret.data[ConfigurationDocument.fileName] else { return }
            keeper.offer(bytes, from: .watched)
        }
        let leafs = secret(ChildName.credentialsSecret, namespace, client) { [credentials] secret in
            guard let chain = secret.data["tls.crt"], let key = secret.data["tls.key"] else {
                return
            }
            credentials.offer(
                ProxyCredentials(
                    certificateChain: String(decoding: chain, as: UTF8.self),
                    privateKey: String(decoding: key, as: UTF8.self)
                )
            )
        }
        let slices = Informer<Discovery.EndpointSlice>(
            client: client,
            scope: Scope(namespace: namespace),
            settings: Self.settings,
            logger: logger
        )
        let parts = PartSource(keeper: keeper, server: (client, namespace))
        return [
            { await configuration.run() },
            { await parts.run() },
            { await leafs.run() },
            { await slices.run() },
            { [endpoints] in await endpoints.follow(slices) },
        ]
    }

    /// A gateway is back soon after its API server: what changed meanwhile are its servers' addresses.
    ///
    /// There are few gateways, and a refused connect costs the server nothing. A load balancer before a server that is
    /// away resets what it has accepted, which looks like any other failure.
    private static let settings: ReflectorSettings = {
        var settings = ReflectorSettings()
        settings.absence = Backoff(base: .milliseconds(200), maximum: .seconds(1), jitter: 0.5)
        settings.backoff = Backoff(base: .milliseconds(400), maximum: .seconds(2), jitter: 0.5)
        return settings
    }()

    private func secret(
        _ name: String,
        _ namespace: String,
        _ client: KubernetesClient,
        _ take: @escaping @Sendable (Core.Secret) -> Void
    ) -> Informer<Core.Secret> {
        let informer = Informer<Core.Secret>(
            client: client,
            scope: .object(ObjectKey(namespace: namespace, name: name)),
            settings: Self.settings,
            logger: logger
        )
        informer.addHandler { change in
            // A deleted Secret takes nothing away: the site goes on with what it has.
            if case .deleted = change { return }
            take(change.object)
        }
        return informer
    }
}
