import FoundationEssentials
import HTTPTransport
import KubernetesAPI
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import ProxyContract

/// Follows what every gateway observes: one long poll for each gateway pod.
///
/// A poll is answered at once when something changed, so a failover is known as soon as its proxy knows it.
struct SnapshotPoller: Sendable {
    let shared: Shared
    let transport: HTTPTransport
    var clock: any Clock<Duration> = ContinuousClock()

    /// In seconds; also bounds how old the last news can be when an answer is lost on the way.
    private static let wait = 5
    /// A gateway under load changes all the time; so often is it asked.
    private static let pause: Duration = .milliseconds(200)
    /// What a gateway told is not held for true any longer once it has not answered for this time.
    private static let validity: Duration = .seconds(20)
    /// In bytes; a gateway with everything at its bounds needs less.
    private static let longestSnapshot = 8 << 20

    /// Polls the pods that `pods` names until the task is canceled; each pod is named once.
    func run(_ pods: AsyncStream<SiteRegistry.GatewayKey>) async {
        await withDiscardingTaskGroup { group in
            for await gateway in pods {
                group.addTask { await follow(gateway) }
            }
            group.cancelAll()
        }
    }

    /// Until the pod is gone.
    private func follow(_ gateway: SiteRegistry.GatewayKey) async {
        var known: ProxySnapshot?
        var backoff = Backoff(base: .milliseconds(200), maximum: .seconds(5), jitter: 0.2)
        let time = Timeline(clock)
        var lastAnswer = time.now
        while !Task.isCancelled, let pod = pod(gateway) {
            let answer = await poll(pod, after: known)
            tell(answer, of: pod)
            guard case .snapshot(let snapshot) = answer else {
                // A gateway that was restarted counts its versions from the start.
                known = nil
                // It has not failed, and may be asked any moment.
                if case .notAsked = answer { backoff.reset() }
                if time.now - lastAnswer > Self.validity,
                    shared.registry.drop(gateway), let namespace = gateway.pod.namespace
                {
                    shared.logger.warning(
                        "a gateway does not answer any more",
                        metadata: ["pod": "\(pod.key)"]
                    )
                    tell(namespace, .everything)
                }
                try? await time.sleep(for: backoff.next())
                continue
            }
            backoff.reset()
            lastAnswer = time.now
            if snapshot.version != known?.version || snapshot.proxy != known?.proxy {
                known = snapshot
                let old = shared.registry.set(snapshot, of: gateway)
                tell(pod.metadata.namespace ?? "", SnapshotDifference(old, snapshot))
            }
            try? await time.sleep(for: Self.pause)
        }
        shared.world.inputs.forget(.gateway(gateway.pod))
        if shared.registry.set(nil, of: gateway) != nil, let namespace = gateway.pod.namespace {
            tell(namespace, .everything)
        }
    }

    private func pod(_ gateway: SiteRegistry.GatewayKey) -> Core.Pod? {
        shared.world.pods.store.get(gateway.pod).flatMap {
            $0.metadata.uid == gateway.uid ? $0 : nil
        }
    }

    private enum Answer {
        case snapshot(ProxySnapshot)
        case failed(ReadingTrouble)
        /// There is nobody to ask, or nothing to ask with.
        case notAsked
    }

    /// A gateway that does not serve owes nobody an answer.
    private func tell(_ answer: Answer, of pod: Core.Pod) {
        let (inputs, input) = (shared.world.inputs, Input.gateway(pod.key))
        switch answer {
        case .snapshot: inputs.note(input, .following)
        case .failed(let trouble) where pod.status.isReady && !pod.metadata.isTerminating:
            inputs.note(input, .failed(trouble))
        case .failed, .notAsked: inputs.forget(input)
        }
    }

    /// The gateway's snapshot after `known`, of which only what changed is sent.
    private func poll(_ pod: Core.Pod, after known: ProxySnapshot?) async -> Answer {
        // The key goes to nobody but the gateways of this Site.
        guard let address = pod.status.podIP, !address.isEmpty,
            let record = shared.registry[pod.metadata.namespace ?? ""],
            pod.isGateway(of: record.site),
            let key = record.head?.snapshotKey
        else { return .notAsked }
        let host = address.contains(":") ? "[\(address)]" : address
        let instance = known.map { "&instance=\($0.proxy)" } ?? ""
        var request = HTTPRequest(
            method: "GET",
            url: "http://\(host):\(Names.adminPort)/v1/snapshot"
                + "?after=\(known?.version ?? 0)\(instance)&wait=\(Self.wait)s",
            headers: [("Authorization", "Bearer \(key)")]
        )
        request.timeout = .seconds(Self.wait + 3)
        request.connectTimeout = .seconds(3)
        request.proxy = .none
        request.bodyLimit = Self.longestSnapshot
        do {
            let response = try await transport.send(request)
            guard response.isSuccess else {
                shared.logger.debug(
                    "a gateway refused its snapshot",
                    metadata: ["pod": "\(pod.key)", "status": "\(response.status)"]
                )
                return .failed(ReadingTrouble(status: response.status))
            }
            let update = try JSONDecoder().decode(SnapshotUpdate.self, from: response.body)
            let base = known ?? ProxySnapshot(proxy: update.snapshot.proxy)
            return base.applying(update).map(Answer.snapshot) ?? .failed(.undecodable)
        } catch {
            shared.logger.debug(
                "a gateway did not answer",
                metadata: ["pod": "\(pod.key)", "error": "\(describe(error))"]
            )
            return .failed(error is DecodingError ? .undecodable : .silent)
        }
    }

    private func tell(_ namespace: String, _ difference: SnapshotDifference) {
        shared.queues.sites.add(namespace)
        guard !difference.concernsAll else { return shared.enqueueDependents(of: namespace) }
        if difference.concernsLinks {
            for key in shared.world.links.store.keys(in: namespace) { shared.queues.links.add(key) }
        }
        for address in difference.addresses {
            let index = "\(namespace)/\(address)"
            for service in shared.world.services.store.list(World.Index.address, index) {
                shared.queues.services.add(service.key)
            }
        }
        if let generations = difference.generations, let record = shared.registry[namespace] {
            shared.enqueue(.objects(record.objects(since: generations)), in: namespace)
        }
    }
}

/// What two snapshots of a gateway differ in, as far as objects have to be looked at again.
struct SnapshotDifference: Equatable {
    private(set) var concernsLinks = false
    private(set) var concernsAll = false
    private(set) var addresses: Set<ServiceAddress> = []
    /// The configurations that the gateway has taken up, or gone back from: objects that changed with one of them are
    /// programmed now, or not any more.
    private(set) var generations: ClosedRange<UInt64>?

    static var everything: Self {
        var difference = SnapshotDifference()
        difference.concernsLinks = true
        difference.concernsAll = true
        return difference
    }

    private init() {}

    init(_ old: ProxySnapshot?, _ new: ProxySnapshot) {
        guard let old, old.proxy == new.proxy else {
            self = .everything
            return
        }
        moved(from: old.appliedGeneration, to: new.appliedGeneration)
        moved(old.sidecars, new.sidecars, present: new.appliedGeneration)
        concernsLinks =
            old.links != new.links
            || old.sidecars.map(\.appliedGeneration) != new.sidecars.map(\.appliedGeneration)
            || old.sidecars.map(\.proxy) != new.sidecars.map(\.proxy)
        collect(ListDifference(old.services, new.services, by: \.service))
        collect(ListDifference(old.counters, new.counters, by: \.service))
        collect(old.failovers, new.failovers, by: \.service)
        collect(old.sidecars.flatMap(\.counters), new.sidecars.flatMap(\.counters), by: \.service)
        collect(old.sidecars.flatMap(\.failovers), new.sidecars.flatMap(\.failovers), by: \.service)
    }

    private mutating func moved(from old: UInt64, to new: UInt64) {
        guard old != new else { return }
        let range = (min(old, new) + 1)...max(old, new)
        generations =
            generations.map {
                min($0.lowerBound, range.lowerBound)...max($0.upperBound, range.upperBound)
            } ?? range
    }

    /// Sidecars that took up another configuration, or that are waited for since now, or not any more.
    private mutating func moved(_ old: [SidecarSnapshot], _ new: [SidecarSnapshot], present: UInt64)
    {
        guard
            old.map(\.proxy) != new.map(\.proxy)
                || old.map(\.appliedGeneration) != new.map(\.appliedGeneration)
        else { return }
        func generations(_ sidecars: [SidecarSnapshot]) -> [ProxyID: UInt64] {
            // One that has taken up nothing yet is not waited for.
            Dictionary(
                sidecars.map {
                    ($0.proxy, $0.appliedGeneration == 0 ? present : $0.appliedGeneration)
                }
            ) { first, _ in first }
        }
        let (before, after) = (generations(old), generations(new))
        for proxy in Set(before.keys).union(after.keys) {
            moved(from: before[proxy] ?? present, to: after[proxy] ?? present)
        }
    }

    private mutating func collect(_ difference: ListDifference) {
        addresses.formUnion(difference.changed.map(\.address))
        addresses.formUnion(difference.gone.map(\.address))
    }

    private mutating func collect<Element: Equatable>(
        _ old: [Element],
        _ new: [Element],
        by port: (Element) -> ServicePort
    ) {
        guard old != new else { return }
        var before: [ServicePort: [Element]] = [:]
        for element in old { before[port(element), default: []].append(element) }
        var after: [ServicePort: [Element]] = [:]
        for element in new { after[port(element), default: []].append(element) }
        for (port, elements) in after where before[port] != elements {
            addresses.insert(port.address)
        }
        for port in before.keys where after[port] == nil { addresses.insert(port.address) }
    }
}
