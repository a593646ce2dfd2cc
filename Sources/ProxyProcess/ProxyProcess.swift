import FoundationEssentials
import Logging
import Proxy
import ProxyContract
package import Telemetry

/// The process around a proxy: where its configuration comes from, where its observations go, how it ends.
package struct ProxyProcess: Sendable {
    /// How the process ends.
    package enum Ending: Int32, Sendable {
        case drained = 0
        case failed = 1
        /// A plain site had no usable configuration at its first start.
        case unusable = 2
    }

    private let options: RunOptions
    private let log: ProcessLog?
    private let logger = Logger(label: "tieline-proxy")

    package init(_ options: RunOptions, log: ProcessLog? = nil) {
        self.options = options
        self.log = log
    }

    /// Runs until SIGTERM and the drain after it; answers with the exit code.
    @concurrent
    package func run() async -> Int32 {
        raiseFileLimit()
        let signals = Signals()
        let admin = Admin()
        let server = admin.makeServer(at: options.admin, log: log)
        let place: SiteState?
        do {
            // What can fail is tried before any port opens.
            place = try takeSite()
            try server.listen()
        } catch {
            logger.critical("\(error)")
            return Ending.failed.rawValue
        }
        return await withTaskGroup(of: Ending?.self) { group in
            group.addTask {
                do {
                    try await server.run()
                    return nil
                } catch {
                    logger.critical("\(error)")
                    return .failed
                }
            }
            group.addTask { await serve(admin, place, signals) }
            var ending = Ending.drained
            for await result in group {
                guard let result else { continue }
                ending = result
                break
            }
            group.cancelAll()
            return ending.rawValue
        }
    }

    /// Takes the state of a plain site for this process.
    private func takeSite() throws -> SiteState? {
        guard case .site(let site) = options.mode else { return nil }
        let state = try SiteState(
            told: site.state,
            manifests: site.directory,
            environment: site.environment
        )
        try state.lock()
        return state
    }

    private func serve(
        _ admin: Admin,
        _ place: SiteState?,
        _ signals: Signals
    ) async -> Ending {
        do {
            switch options.mode {
            case .gateway(let gateway):
                let run = GatewayRun(gateway, options, admin, logger)
                return try await run.serve(until: signals)
            case .site(let site):
                let place = place ?? SiteState(path: site.directory)
                let run = SiteRun(site, place, options, admin, logger)
                return try await run.serve(until: signals)
            case .sidecar(let sidecar):
                let run = SidecarRun(sidecar, options, admin, logger)
                return try await run.serve(until: signals)
            }
        } catch let problem as UnusableSite {
            for line in problem.lines { logger.critical("\(line)") }
            return .unusable
        } catch {
            logger.critical("\(error)")
            return .failed
        }
    }
}

extension ProxyProcess {
    /// Runs `work` beside the proxy until a signal comes; then drains.
    ///
    /// A second signal ends at once.
    static func serve(
        _ proxy: any DataPlane,
        _ admin: Admin,
        until signals: Signals,
        _ logger: Logger,
        work: [@Sendable () async -> Void]
    ) async -> ProxyProcess.Ending {
        await withTaskGroup(of: Void.self) { group in
            for piece in work { group.addTask { await piece() } }
            guard await signals.next() else { return .drained }
            logger.notice("draining")
            admin.beginDrain()
            // Whichever ends first; a drain that was cut short may sleep on while the process ends.
            let (ended, end) = AsyncStream.makeStream(of: Void.self)
            Task {
                await proxy.drain()
                end.finish()
            }
            let impatience = Task {
                guard await signals.next() else { return }
                logger.warning("told to end again: open connections are reset")
                await proxy.stop()
                end.finish()
            }
            for await _ in ended {}
            impatience.cancel()
            group.cancelAll()
            logger.notice("drained")
            return .drained
        }
    }
}

/// Waits until `directory` has credentials and a proxy can be made with them.
func startProxy(
    _ options: ProxyOptions,
    credentials directory: String,
    _ admin: Admin,
    _ logger: Logger
) async throws -> (Proxy, ProxyCredentials) {
    var told = ""
    while true {
        try Task.checkCancellation()
        var problem = "there is no tls.crt and tls.key in \(directory) yet"
        do {
            if let credentials = try ProxyCredentials.read(from: directory) {
                let proxy = try Proxy(options: options, credentials: credentials)
                try proxy.start()
                return (proxy, credentials)
            }
        } catch ProxyError.credentials(let reason) {
            problem = "the credentials in \(directory) cannot be used: \(reason)"
        }
        if problem != told { logger.warning("\(problem)") }
        told = problem
        admin.wait(for: problem)
        try await Task.sleep(for: .milliseconds(500))
    }
}
