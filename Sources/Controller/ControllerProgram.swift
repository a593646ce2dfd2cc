import HTTPTransport
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
package import Logging
import NetworkAPI
package import Telemetry

/// The controller as a process: caches that are always warm, and work while it leads.
package enum ControllerProgram {
    /// Runs until the task is canceled; gives the lease back on the way out.
    ///
    /// Throws when the configuration cannot be used, the admin address cannot be bound, or the lease was lost: the process
    /// should end then, and be started again.
    @concurrent
    package static func run(
        _ options: ControllerOptions,
        log: ProcessLog? = nil,
        logger: Logger
    ) async throws {
        let configuration = try ClientConfiguration.load(
            kubeconfig: options.kubeconfig,
            context: options.context
        )
        let reader = KubernetesClient(configuration: configuration, userAgent: Names.controller) {
            logger.warning("the API server warns: \($0)")
        }
        let elector = LeaderElector(
            client: reader,
            settings: LeaderElectionSettings(
                lease: ObjectKey(namespace: options.namespace, name: Names.controller),
                identity: options.identity
            ),
            logger: logger
        )
        let leadership = elector.leadership
        let world = World(client: reader, logger: logger)
        let metrics = MetricsRegistry()
        metrics.addProcessMetrics()
        if let log { metrics.addLogMetrics(log) }
        let shared = Shared(
            world: world,
            // The lease and the watches never wait.
            client: reader.paced(by: .controller).fenced { leadership.writeLimit },
            options: options,
            logger: logger
        )
        world.inputs.addMetrics(to: metrics, kinds: world.kinds)
        world.addMetrics(to: metrics, queues: shared.queues) { leadership.isValid }
        let health = elector.health
        let admin = AdminServer(
            host: options.adminHost,
            port: options.adminPort,
            registry: metrics,
            executor: OwnThread("admin")
        ) {
            // A standby is ready too: its caches are warm, and it could lead.
            if let problem = health.problem { return .notReady(problem) }
            let unread = world.unread
            guard unread.isEmpty else {
                let kinds = unread.map(world.inputs.describe).joined(separator: ", ")
                return .notReady("not read yet: \(kinds)")
            }
            // What was read last holds: nothing that works has to stop.
            return world.inputs.problem.map { .impaired($0) } ?? .ready
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await admin.run() }
            group.addTask { await world.run() }
            group.addTask { try await WebhookServer(shared, reader).run(options.webhook) }
            group.addTask { await world.inputs.run(shared.takeUp) }
            group.addTask(executorPreference: OwnThread("lease")) {
                try await elector.run { try await lead(shared, metrics: metrics) }
            }
            defer { group.cancelAll() }
            // None of them ends by itself.
            try await group.next()
        }
    }

    /// Works until the task is canceled.
    private static func lead(_ shared: Shared, metrics: MetricsRegistry) async throws {
        // What a cache that is not filled yet lacks would be taken for deleted.
        guard await shared.world.waitUntilSynced() else { return }
        let (gateways, named) = AsyncStream<SiteRegistry.GatewayKey>.makeStream()
        Triggers(shared: shared, gateways: named).install()
        let poller = SnapshotPoller(shared: shared, transport: HTTPTransport())
        let sites = Measured(SiteReconciler(shared: shared), name: "site", metrics: metrics)
        let links = Measured(LinkReconciler(shared: shared), name: "link", metrics: metrics)
        let services = Measured(
            ServiceReconciler(shared: shared),
            name: "service",
            metrics: metrics
        )
        await withDiscardingTaskGroup { group in
            group.addTask { await shared.writer.recorder.run() }
            group.addTask { await shared.secrets.run() }
            group.addTask { await poller.run(gateways) }
            group.addTask { await shared.followBudgets() }
            if shared.settings.injects {
                group.addTask {
                    await WebhookKeeper(
                        client: shared.client,
                        namespace: shared.settings.namespace,
                        logger: shared.logger
                    ).run()
                }
            }
            group.addTask {
                await ControllerLoop(
                    name: "site",
                    queue: shared.queues.sites,
                    reconciler: sites,
                    logger: shared.logger
                ).run()
            }
            group.addTask {
                await ControllerLoop(
                    name: "link",
                    queue: shared.queues.links,
                    reconciler: links,
                    logger: shared.logger
                ).run()
            }
            group.addTask {
                await ControllerLoop(
                    name: "service",
                    queue: shared.queues.services,
                    reconciler: services,
                    workers: 4,
                    logger: shared.logger
                ).run()
            }
        }
    }
}

extension RequestPace {
    /// Above what 1,000 Services that come at once need on a small server (`docs/scale.md`), and far below what a large
    /// one takes.
    fileprivate static var controller: RequestPace { RequestPace(perSecond: 500, burst: 1000) }
}

extension Shared {
    fileprivate init(
        world: World,
        client: KubernetesClient,
        options: ControllerOptions,
        logger: Logger
    ) {
        let clock = MonotonicClock()
        let recorder = EventRecorder(
            client: client,
            controller: EventPlan.reportingController,
            instance: options.identity,
            logger: logger
        )
        let queues = Queues()
        let writer = Writer(client: client, recorder: recorder, logger: logger)
        self.init(
            world: world,
            registry: SiteRegistry(),
            queues: queues,
            client: client,
            writer: writer,
            statuses: StatusWriter(client: client, writer: writer, clock: clock),
            secrets: SecretWatches(client: client, inputs: world.inputs, logger: logger) {
                queues.sites.add($0)
            },
            settings: ControllerSettings(
                proxyImage: options.proxyImage,
                proxyPullPolicy: options.proxyPullPolicy,
                namespace: options.namespace,
                serviceAccount: options.serviceAccount,
                injects: options.webhook != nil
            ),
            clock: clock,
            logger: logger
        )
    }
}
