import DevnodeCore
import FoundationEssentials
import Glibc
import KubernetesAPI
import KubernetesClient
import Logging
import NetworkModel
import Telemetry

/// What every pod of a node shares.
struct PodContext: Sendable {
    let options: NodeOptions
    let processes: ProcessTable
    let runtime: Runtime
    let network: NodeNetwork
    let prober: Prober
    let references: References
    let client: KubernetesClient
    let logger: Logger
}

/// One pod on the node, from its network to its end.
///
/// The API server may be away for any time: only reports and the final deletion wait for it.
actor PodWorker {
    /// One start of a container.
    struct Instance {
        let pid: pid_t
        let number: Int32
        let bundle: Runtime.Bundle
        let startedAt = Timestamp.now()
        var probes: Task<Void, Never>?
    }

    let context: PodContext
    let base: String
    var pod: Core.Pod
    var summary: PodSummary
    var instances: [String: Instance] = [:]
    var deadline: ContinuousClock.Instant?
    private(set) var volumes: PodVolumes
    private(set) var attachment: NodeNetwork.Attachment?
    private var sidecars: [(name: String, task: Task<Void, Never>)] = []
    private var sleeps: [Int: Task<Void, Never>] = [:]
    private var sleepNumber = 0
    private var isDeleted = false
    private var hasFinished = false
    private var volumeUpdate: Task<Void, any Error>?
    private let reporter: StatusReporter
    private var revision = 0

    init(_ pod: Core.Pod, context: PodContext) {
        var pod = pod
        if pod.spec.automountServiceAccountToken != false { pod = pod.withTokenVolume() }
        self.context = context
        self.pod = pod
        base = "\(context.options.work)/pods/\(pod.metadata.uid ?? pod.metadata.name)"
        volumes = PodVolumes(base: base + "/volumes")
        summary = PodSummary(of: pod, hostIPs: context.network.addresses, startTime: .now())
        reporter = StatusReporter(pod: pod, client: context.client, logger: context.logger)
    }

    var isStopping: Bool { deadline != nil }

    /// Runs the pod to its end; then reports that, and removes the object if it is to be deleted.
    func run() async {
        report()
        if await prepare(), await runInitContainers() {
            summary.initialized = true
            report()
            await withDiscardingTaskGroup { group in
                for container in pod.spec.containers {
                    group.addTask { await self.supervise(container) }
                }
            }
        }
        await stopSidecars()
        if let attachment { await context.network.detach(attachment) }
        attachment = nil
        Files.remove(base)
        hasFinished = true
        Files.remove(folder)
        revision += 1
        await reporter.report(summary, revision: revision)
        await removeIfDeleted()
    }

    /// Ends the pod: SIGTERM now, SIGKILL after `grace`; a second call can only shorten it.
    ///
    /// With `removing` the object is taken out of the API server afterwards.
    func stop(grace: Duration, removing: Bool) async {
        if removing { isDeleted = true }
        let end = ContinuousClock.now + grace
        if let deadline, deadline <= end {
            await removeIfDeleted()
            return
        }
        deadline = end
        wake()
        for container in pod.spec.containers { signal(container.name, SIGTERM) }
        for container in pod.spec.initContainers where !container.isSidecar {
            signal(container.name, SIGTERM)
        }
        Task {
            try? await Task.sleep(until: end)
            self.killAll(after: end)
        }
        await removeIfDeleted()
    }

    /// Secrets or ConfigMaps of the namespace have changed.
    func objectsChanged() async {
        guard attachment != nil, !hasFinished else { return }
        wake()
        do {
            try await updateVolumes()
        } catch {
            // As with a real node: what was mounted before stays mounted.
            context.logger.debug("\(pod.key): volumes not updated: \(error)")
        }
    }

    private func killAll(after end: ContinuousClock.Instant) {
        guard deadline == end else { return }
        for instance in instances.values { kill(instance.pid, SIGKILL) }
    }

    private func removeIfDeleted() async {
        guard hasFinished, isDeleted else { return }
        await reporter.remove()
    }

    func signal(_ name: String, _ number: Int32) {
        if let instance = instances[name] { kill(instance.pid, number) }
    }

    // MARK: Before the containers

    private func prepare() async -> Bool {
        while !isStopping {
            do {
                if attachment == nil {
                    let attachment = try await context.network.attach()
                    self.attachment = attachment
                    summary.podIPs = attachment.addresses
                    pod.status = summary.status(after: pod.status.conditions, at: .now())
                    try writeNames(attachment)
                    try await setVariables(attachment)
                }
                try await updateVolumes()
                Task { await self.renewTokens() }
                return !isStopping
            } catch {
                for index in summary.containers.indices {
                    summary.containers[index].state = .waiting("ContainerCreating", "\(error)")
                }
                report()
                await pause(.seconds(2))
            }
        }
        return false
    }

    /// Only variables that Kubernetes counts as safe: others concern the node.
    private func setVariables(_ attachment: NodeNetwork.Attachment) async throws {
        let variables = pod.spec.securityContext?.sysctls ?? []
        if let unsafe = variables.first(where: { !PodVariables.areSafe.contains($0.name) }) {
            throw ConfigurationProblem("forbidden sysctl: \(unsafe.name) is not allowed")
        }
        try await attachment.network.set(PodVariables.paths(variables))
    }

    private func updateVolumes() async throws {
        let previous = volumeUpdate
        let next = Task {
            // One after another: each goes on from what the one before has written.
            _ = await previous?.result
            var changed = self.volumes
            defer { self.volumes = changed }
            try await changed.update(
                for: self.pod,
                references: self.context.references,
                client: self.context.client
            )
        }
        volumeUpdate = next
        try await next.value
    }

    private func renewTokens() async {
        while !hasFinished, let renewal = volumes.nextRenewal {
            let wait = max(.seconds(1), ContinuousClock.now.duration(to: renewal))
            await pause(wait)
            if !hasFinished { try? await updateVolumes() }
        }
    }

    private func writeNames(_ attachment: NodeNetwork.Attachment) throws {
        let namespace = pod.metadata.namespace ?? "default"
        try Files.makeDirectory(base)
        try Files.write(
            """
            nameserver \(context.options.families.first.dnsAddress)
            search \(namespace).svc.cluster.local svc.cluster.local cluster.local
            options ndots:5

            """,
            to: base + "/resolv.conf"
        )
        let hosts =
            context.network.families.map { "\($0.loopbackAddress) localhost\n" }
            + attachment.addresses.map { "\($0) \(pod.metadata.name)\n" }
            + pod.spec.hostAliases.map { "\($0.ip) \($0.hostnames.joined(separator: " "))\n" }
        try Files.write(hosts.joined(), to: base + "/hosts")
        try Files.makeDirectory(folder)
        try Files.write("\(attachment.network.descriptor)\n", to: folder + "/network")
        try Files.write("\(pod.spec.containers.first?.name ?? "")\n", to: folder + "/main")
    }

    /// Runs init containers one after the other; a sidecar counts as done once it has started.
    private func runInitContainers() async -> Bool {
        for container in pod.spec.initContainers {
            if isStopping { return false }
            guard container.isSidecar else {
                await supervise(container)
                guard record(container.name)?.state.terminated?.exitCode == 0 else { return false }
                continue
            }
            let task = Task { await self.supervise(container) }
            sidecars.append((container.name, task))
            while !isStopping, record(container.name)?.started != true {
                await pause(.seconds(60))
            }
        }
        return !isStopping
    }

    /// Ends the sidecars in the reverse order of their start, after everything else has ended.
    private func stopSidecars() async {
        if deadline == nil, !sidecars.isEmpty {
            await stop(grace: grace, removing: false)
        }
        for (name, task) in sidecars.reversed() {
            signal(name, SIGTERM)
            await task.value
        }
    }

    var grace: Duration { .seconds(pod.spec.terminationGracePeriodSeconds ?? 30) }

    // MARK: State

    /// What `hack/cluster.sh` finds the pod's namespace and processes by.
    var folder: String { "\(context.options.state)/pods/\(pod.key)" }

    func record(_ name: String) -> ContainerRecord? {
        summary.containers.first { $0.name == name }
    }

    func update(_ name: String, _ change: (inout ContainerRecord) -> Void) {
        guard let index = summary.containers.firstIndex(where: { $0.name == name }) else { return }
        let before = summary.containers[index]
        change(&summary.containers[index])
        guard summary.containers[index] != before else { return }
        if summary.containers[index].started != before.started { wake() }
        report()
    }

    private func report() {
        revision += 1
        let (summary, revision) = (summary, revision)
        Task { await reporter.report(summary, revision: revision) }
    }

    /// Sleeps, at most until something happens that may matter.
    func pause(_ duration: Duration) async {
        sleepNumber += 1
        let number = sleepNumber
        let task = Task { _ = try? await Task.sleep(for: duration) }
        sleeps[number] = task
        await task.value
        sleeps[number] = nil
    }

    private func wake() {
        for task in sleeps.values { task.cancel() }
    }
}
