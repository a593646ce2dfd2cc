package import NetworkModel
package import ProxyContract
import Routing
package import SiteControl
import Synchronization
import TLS

/// A running proxy: the one door between the process and the data plane.
///
/// Every function may be called from any thread and returns at once unless it is `async`; the work happens on the loops.
package final class Proxy: Sendable {
    package let options: ProxyOptions
    /// This instance: the site of the credentials and a random number.
    package let id: ProxyID
    private let snapshots: SnapshotStore
    private let context: Mutex<TLSContext>
    private let running = Mutex<Running?>(nil)
    private let isTracing = Atomic(false)

    private struct Running: Sendable {
        let core: ProxyCore
        let threads: [EventLoopThread]
    }

    /// Checks the credentials; nothing runs yet.
    package init(options: ProxyOptions, credentials: ProxyCredentials) throws(ProxyError) {
        self.options = options
        let context = try Self.context(credentials)
        let identity = context.credentials.identity
        let wanted: ProxyRole =
            switch options.role {
            case .gateway: .gateway
            case .sidecar: .sidecar
            }
        guard identity.role == wanted else {
            throw .credentials("the leaf is for a \(identity.role), this is a \(wanted)")
        }
        id = ProxyID(site: identity.site, instance: .random(in: 1...UInt64.max))
        snapshots = SnapshotStore(proxy: id)
        self.context = Mutex(context)
    }

    private static func context(
        _ credentials: ProxyCredentials
    ) throws(ProxyError) -> TLSContext {
        do {
            return try TLSContext(
                credentials: try Credentials(
                    certificates: Array(credentials.certificateChain.utf8),
                    privateKey: Array(credentials.privateKey.utf8)
                )
            )
        } catch {
            throw .credentials("\(error)")
        }
    }

    /// Starts the loops; a gateway listens for its mesh and sidecars, a sidecar attaches to its gateways.
    package func start() throws(ProxyError) {
        let count = options.loops ?? LoopCount.available
        let context = context.withLock { $0 }
        do {
            let recorder = try options.record.map { path throws(SystemError) in
                try ControlRecorder(path)
            }
            let threads = try Self.startLoops(count)
            let core = ProxyCore(
                id: id,
                options: options,
                context: context,
                mailboxes: threads.map(\.mailbox)
            )
            running.withLock { $0 = Running(core: core, threads: threads) }
            populate(core, recorder)
        } catch {
            throw .system("\(error)")
        }
    }

    private static func startLoops(_ count: Int) throws(SystemError) -> [EventLoopThread] {
        var threads: [EventLoopThread] = []
        do throws(SystemError) {
            for index in 0..<max(1, count) { threads.append(try EventLoopThread(index: index)) }
        } catch {
            for thread in threads { thread.stop() }
            throw error
        }
        return threads
    }

    /// Gives every loop its agent, and loop 0 the control, which starts when all have theirs.
    private func populate(_ core: ProxyCore, _ recorder: ControlRecorder?) {
        let empty = DataPlaneView(
            proxy: id,
            isSidecar: core.isSidecar,
            services: [:],
            keys: KeyRing(),
            isDraining: false
        )
        let snapshots = snapshots
        core.mailboxes[0].post { loop in
            loop.setLocal(
                ControlShell(core: core, loop: loop, snapshots: snapshots, recorder: recorder)
            )
        }
        for mailbox in core.mailboxes {
            mailbox.post { loop in
                loop.setLocal(LoopAgent(loop: loop, core: core, view: empty))
            }
        }
        // Letters to agents come after the one above, on every loop.
        core.tellControl { $0.start() }
    }

    /// For this module, and its tests.
    func tellControl(_ letter: @escaping @Sendable (ControlShell) -> Void) {
        running.withLock { $0?.core }?.tellControl(letter)
    }

    // MARK: What the process tells

    /// Applies a configuration; one that is older than the applied generation is ignored.
    ///
    /// Only what differs is touched.
    package func apply(_ document: ConfigurationDocument) { tellControl { $0.apply(document) } }

    /// Why the newest configuration could not be used (from whoever reads it); shown until the next `apply`.
    package func reportConfigurationError(_ message: String) {
        tellControl { $0.feed(.configurationFailed(message)) }
    }

    /// The servers behind the core Service of this name (`Provider.endpointSlices`), all of them.
    package func setEndpoints(service: String, _ endpoints: [LocalEndpoint]) {
        tellControl { $0.feed(.endpoints(service, endpoints)) }
    }

    /// New lanes use these; those of another site's CA are refused.
    package func setCredentials(_ credentials: ProxyCredentials) throws(ProxyError) {
        let new = try Self.context(credentials)
        guard new.credentials.identity.site == id.site else {
            throw .credentials(
                "the new credentials are of site \(new.credentials.identity.site), not \(id.site)"
            )
        }
        context.withLock { $0 = new }
        running.withLock { $0?.core }?.setContext(new)
        tellControl { $0.credentialsChanged(new) }
    }

    // MARK: What it observes

    /// What this proxy observes, at most 200 ms old.
    package var snapshot: ProxySnapshot { snapshots.current }

    /// Waits until the snapshot's version is above `version`, at most `limit`; answers with the newest either way.
    package func snapshot(after version: UInt64, limit: Duration) async -> ProxySnapshot {
        await snapshots.wait(after: version, limit: limit)
    }

    /// Waits likewise; answers with what a reader of `version` of the instance `proxy` lacks.
    package func update(
        after version: UInt64,
        of proxy: ProxyID,
        limit: Duration
    ) async -> SnapshotUpdate {
        await snapshots.update(after: version, of: proxy, limit: limit)
    }

    /// Brings `snapshot` and `openStreams` up to date; waits at most a second for the loops.
    package func refresh() async {
        // What the loops tell is in loop 0's mailbox before this.
        guard await measure({ $0.measureAll() }), let core = running.withLock({ $0?.core })
        else { return }
        await answers(1) { done in
            core.tellControl { control in
                control.takeWholeSnapshot()
                done()
            }
        }
    }

    /// Brings `openStreams` up to date; false when the loops did not answer within a second.
    private func measure(
        _ body: @escaping @Sendable (LoopAgent) -> Void = { $0.measure() }
    ) async -> Bool {
        guard let core = running.withLock({ $0?.core }) else { return false }
        return await answers(core.loops) { done in
            core.tellAgents { agent in
                body(agent)
                done()
            }
        }
    }

    /// Asks, and waits at most `patience` for `count` answers; false when they did not come.
    @discardableResult
    private func answers(
        _ count: Int,
        patience: Duration = .seconds(1),
        to ask: (@escaping @Sendable () -> Void) -> Void
    ) async -> Bool {
        let (answers, answer) = AsyncStream.makeStream(of: Void.self)
        let alarm = Task {
            try? await Task.sleep(for: patience)
            answer.finish()
        }
        defer { alarm.cancel() }
        ask { answer.yield() }
        var rest = count
        for await _ in answers {
            rest -= 1
            if rest == 0 { return true }
        }
        return false
    }

    /// True for a gateway that has applied a configuration, and for a sidecar that was told of every address it listens for.
    package var isReady: Bool { snapshots.isReady }

    /// Connections and streams that are open on all loops, at most 200 ms old.
    package var openStreams: Int { running.withLock { $0?.core }?.openStreams ?? 0 }

    /// Why connections of a service port go where they go, at the time `wall`; nil: it is not known here.
    package func explain(_ service: ServicePort, at wall: Timestamp) -> ServiceExplanation? {
        guard let core = running.withLock({ $0?.core }), let shared = core.service(service) else {
            return nil
        }
        let now = EventLoop.clock()
        let names = snapshots.current.names(for: service)
        return Explainer(own: id, names: names, now: now, wall: wall)
            .explain(service, shared.account(at: now))
    }

    /// Measures the way to a site that serves a service port: to `site`, or else to the one that is next to get a connection.
    ///
    /// One at a time, for it opens a stream; no other state is touched.
    package func trace(
        _ service: ServicePort,
        to site: SiteID?,
        at wall: Timestamp
    ) async throws(TraceRefusal) -> ServiceTrace {
        guard let core = running.withLock({ $0?.core }), let shared = core.service(service) else {
            throw .unknownService
        }
        guard !isTracing.exchange(true, ordering: .relaxed) else { throw .busy }
        defer { isTracing.store(false, ordering: .relaxed) }
        let way = try shared.account(at: EventLoop.clock()).way(to: site, from: id.site)
        let result = Mutex<Tracer.Result?>(nil)
        await answers(1, patience: .seconds(20)) { answered in
            core.tellAgent(0) { agent in
                Tracer(agent.engine, service, over: way.route, to: way.site) { told in
                    result.withLock { $0 = told }
                    answered()
                }
                .start()
            }
        }
        guard let result = result.withLock({ $0 }) else { throw .silent }
        let names = snapshots.current.names(for: service)
        return ServiceTrace(service, over: way, result, as: id, names: names, at: wall)
    }

    /// The network as this gateway knows it, at the time `wall`; nil for a sidecar, and when loop 0 does not answer within a second.
    package func networkMap(at wall: Timestamp) async -> NetworkMap? {
        guard let core = running.withLock({ $0?.core }) else { return nil }
        let found = Mutex<NetworkView?>(nil)
        // Worked out here: a loop that routes is not to wait for it.
        await answers(1) { done in
            core.tellControl { shell in
                found.withLock { $0 = shell.control.network }
                done()
            }
        }
        return found.withLock { $0 }.map { NetworkMap($0, of: id, at: wall) }
    }

    /// The service ports that are known here, in order.
    package var servicePorts: [ServicePort] {
        (running.withLock { $0?.core }?.servicePorts ?? []).sorted()
    }

    /// What each neighbor site holds here, and what it was denied.
    package var neighborUsage: [NeighborUsage] {
        running.withLock { $0?.core }?.accounts.all.flatMap(\.usage) ?? []
    }

    /// What is measured for metrics, as of the last `refresh`.
    package var meters: ProxyMeters { running.withLock { $0?.core }?.meters ?? ProxyMeters() }

    /// Which loop has not moved for longer than `limit` though it had to; nil when all turn.
    package func stall(beyond limit: Duration) -> String? {
        let now = EventLoop.clock()
        for thread in running.withLock({ $0?.threads }) ?? [] {
            guard let lateness = thread.stamp.lateness(at: now), lateness > limit else { continue }
            return "loop \(thread.index) has not turned for \(lateness.components.seconds) s"
        }
        return nil
    }

    // MARK: The end

    /// Withdraws, and ends by the steps of `DrainSteps`.
    package func drain() async {
        var steps: DrainSteps? = await withCheckedContinuation { continuation in
            let isRunning = running.withLock { $0 != nil }
            guard isRunning else {
                continuation.resume(returning: nil)
                return
            }
            tellControl { continuation.resume(returning: $0.beginDrain()) }
        }
        while let wait = steps?.nextDeadline.map({ $0 - EventLoop.clock() }) {
            try? await Task.sleep(for: max(.zero, wait))
            // What the loops told before they stood still says nothing.
            let isMeasured = await measure()
            let open = isMeasured ? openStreams : nil
            for step in steps?.looked(open, at: EventLoop.clock()) ?? [] {
                tellControl { $0.feed(step) }
            }
        }
        await stop()
    }

    /// Stops at once: open connections are reset.
    package func stop() async {
        guard let running = running.withLock({ $0.take() }) else { return }
        running.core.tellControl { $0.feed(.stop) }
        running.core.tellAgents { $0.shutDown() }
        // One more turn, so that CLOSE frames leave.
        try? await Task.sleep(for: .milliseconds(20))
        for thread in running.threads { thread.stop() }
    }
}
