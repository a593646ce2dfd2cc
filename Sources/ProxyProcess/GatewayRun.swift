import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import Proxy
import SiteConfiguration

/// A gateway in a cluster.
///
/// The configuration comes from three sources: what was kept, the mounted Secret, and a watch of it, which is fastest.
/// None of them is needed while another one is there.
struct GatewayRun: Sendable {
    private let gateway: GatewayOptions
    private let options: RunOptions
    private let admin: Admin
    private let logger: Logger

    init(_ gateway: GatewayOptions, _ options: RunOptions, _ admin: Admin, _ logger: Logger) {
        self.gateway = gateway
        self.options = options
        self.admin = admin
        self.logger = logger
    }

    func serve(until signals: Signals) async throws -> ProxyProcess.Ending {
        let mesh = gateway.namespace.map {
            HostAndPort(host: "\(ChildName.proxy).\($0).svc", port: 5672)
        }
        let started = try await signals.unlessNext {
            try await startProxy(
                ProxyOptions(role: .gateway(mesh: mesh), bind: options.bind, loops: options.loops),
                credentials: gateway.credentials,
                admin,
                logger
            )
        }
        guard let (proxy, first) = started else { return .drained }
        logger.info("gateway started", metadata: ["proxy": "\(proxy.id)"])

        let state = gateway.state.map { StateDirectory($0, logger: logger) }
        let keeper = ConfigurationKeeper(dataPlane: proxy, directory: state, logger: logger)
        let credentials = CredentialsKeeper(current: first, dataPlane: proxy, logger: logger)
        let endpoints = EndpointSource(dataPlane: proxy, directory: state)
        endpoints.restore()
        if let document = state?.loadConfiguration() { keeper.offer(document, from: .state) }
        admin.attach(
            proxy,
            snapshotKey: { keeper.snapshotKey },
            certificateEnd: { credentials.notAfter }
        )
        return await ProxyProcess.serve(
            proxy,
            admin,
            until: signals,
            logger,
            work: [{ await followMounts(keeper, credentials) }]
                + cluster(keeper, credentials, endpoints)
        )
    }

    /// Reads the mounted Secrets, now and whenever they change.
    private func followMounts(
        _ keeper: ConfigurationKeeper,
        _ credentials: CredentialsKeeper
    ) async {
        let file = "\(gateway.configuration)/\(ConfigurationDocument.fileName)"
        func read() {
            do {
                if let bytes = try Files.read(file) { keeper.offer(bytes, from: .mounted) }
                if let pair = try ProxyCredentials.read(from: gateway.credentials) {
                    credentials.offer(pair)
                }
            } catch {
                logger.warning("a mounted Secret cannot be read", metadata: ["error": "\(error)"])
            }
        }
        read()
        let watch = DirectoryWatch(directories: [gateway.configuration, gateway.credentials])
        await watch.forEachChange { read() }
    }

    /// What follows the API server; nothing outside of a cluster.
    private func cluster(
        _ keeper: ConfigurationKeeper,
        _ credentials: CredentialsKeeper,
        _ endpoints: EndpointSource
    ) -> [@Sendable () async -> Void] {
        guard let namespace = gateway.namespace else { return [] }
        let client: KubernetesClient
        do {
            client = KubernetesClient(
                configuration: try .load(),
                userAgent: "tieline-proxy"
            )
        } catch {
            logger.warning("the API server is not followed", metadata: ["reason": "\(error)"])
            return []
        }
        let configuration = secret(ChildName.configurationSecret, namespace, client) { secret in
            guard let bytes = secret.data[ConfigurationDocument.fileName] else { return }
            keeper.offer(bytes, from: .watched)
        }
        let leafs = secret(ChildName.credentialsSecret, namespace, client) { secret in
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
            logger: logger
        )
        return [
            { await configuration.run() },
            { await leafs.run() },
            { await slices.run() },
            { await endpoints.follow(slices) },
        ]
    }

    private func secret(
        _ name: String,
        _ namespace: String,
        _ client: KubernetesClient,
        _ take: @escaping @Sendable (Core.Secret) -> Void
    ) -> Informer<Core.Secret> {
        let informer = Informer<Core.Secret>(
            client: client,
            scope: .object(ObjectKey(namespace: namespace, name: name)),
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
