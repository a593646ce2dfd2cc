import Logging
import NetworkAPI
import NetworkModel
import Proxy
import ProxyContract

/// A gateway in a cluster.
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

    /// The folder is another process's where somebody has started two with the same one: then nothing is known.
    private var earlierInstances: @Sendable (ProxyID) -> [ProxyID] {
        guard let state = gateway.state else { return { _ in [] } }
        do {
            if try FolderLock.take(state, mode: 0o700) {
                return InstanceRecord(folder: state, logger: logger).begin
            }
            logger.warning("another process has the state folder", metadata: ["folder": "\(state)"])
        } catch {
            logger.warning("the state folder cannot be taken", metadata: ["error": "\(error)"])
        }
        return { _ in [] }
    }

    func serve(until signals: Signals) async throws -> ProxyProcess.Ending {
        let mesh = gateway.namespace.map {
            HostAndPort(host: "\(ChildName.proxy).\($0).svc", port: 5672)
        }
        let started = try await signals.unlessNext {
            try await startProxy(
                ProxyOptions(
                    role: .gateway(mesh: mesh),
                    bind: options.bind,
                    admin: options.admin,
                    loops: options.loops,
                    predecessors: earlierInstances,
                    record: options.record
                ),
                credentials: gateway.credentials,
                admin,
                logger
            )
        }
        guard let (proxy, first) = started else { return .drained }
        logger.info("gateway started", metadata: ["proxy": "\(proxy.id)"])

        let sources = GatewaySources(gateway, credentials: first, dataPlane: proxy, logger)
        sources.restore()
        admin.attach(
            proxy,
            snapshotKey: { sources.keeper.snapshotKey },
            certificates: { sources.credentials.ends }
        )
        return await ProxyProcess.serve(
            proxy,
            admin,
            until: signals,
            logger,
            work: sources.work()
        )
    }
}
