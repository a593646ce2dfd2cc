import Logging
import Proxy
import ProxyContract
import SiteControl

/// A sidecar: no rights, no configuration; everything comes from the gateways.
struct SidecarRun: Sendable {
    private let sidecar: SidecarOptions
    private let options: RunOptions
    private let admin: Admin
    private let logger: Logger

    init(
        _ sidecar: SidecarOptions,
        _ options: RunOptions,
        _ admin: Admin,
        _ logger: Logger
    ) {
        self.sidecar = sidecar
        self.options = options
        self.admin = admin
        self.logger = logger
    }

    func serve(until signals: Signals) async throws -> ProxyProcess.Ending {
        let directory = sidecar.credentials
        let started = try await signals.unlessNext {
            try await startProxy(
                ProxyOptions(
                    role: .sidecar(
                        gateways: sidecar.gateways,
                        listeners: sidecar.listeners,
                        endsLast: sidecar.endsLast
                    ),
                    bind: options.bind,
                    loops: options.loops,
                    record: options.record
                ),
                credentials: directory,
                admin,
                logger
            )
        }
        guard let (proxy, first) = started else { return .drained }
        logger.info(
            "sidecar started",
            metadata: ["proxy": "\(proxy.id)", "gateways": "\(sidecar.gateways)"]
        )
        let credentials = CredentialsKeeper(current: first, dataPlane: proxy, logger: logger)
        // A sidecar has no snapshot key: its gateways report for it.
        admin.attach(proxy, snapshotKey: { "" }, certificates: { credentials.ends })
        return await ProxyProcess.serve(
            proxy,
            admin,
            until: signals,
            logger,
            work: [
                {
                    await DirectoryWatch(directories: [directory]).forEachChange {
                        do {
                            if let pair = try ProxyCredentials.read(from: directory) {
                                credentials.offer(pair)
                            }
                        } catch {
                            logger.warning(
                                "the credentials cannot be read",
                                metadata: ["error": "\(error)"]
                            )
                        }
                        return nil
                    }
                }
            ]
        )
    }
}
