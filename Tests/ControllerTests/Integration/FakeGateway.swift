import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import ProxyContract
import Synchronization
import Telemetry
import Testing

@testable import Controller

/// A gateway pod of which only the snapshot is real: served on a loopback address of its own.
final class FakeGateway: Sendable {
    private struct State {
        var snapshot: ProxySnapshot
        var keys: Set<String> = []
        var asked = 0
    }

    let address: String
    let name: String
    let proxy: ProxyID
    private let state: Mutex<State>

    init(_ number: Int, site: SiteID, name: String) {
        address = "127.0.5.\(number)"
        self.name = name
        proxy = ProxyID(site: site, instance: .random(in: 1 ... .max))
        var snapshot = ProxySnapshot(proxy: proxy)
        snapshot.version = 1
        state = Mutex(State(snapshot: snapshot))
    }

    /// Changes what the gateway tells.
    func change(_ body: (inout ProxySnapshot) -> Void) {
        state.withLock { state in
            body(&state.snapshot)
            state.snapshot.version += 1
        }
    }

    /// Serves, as a ready pod of the Site, until the task is canceled.
    func run(in cluster: TestCluster, namespace: String, site: Site) async throws {
        let server = AdminServer(
            host: address,
            port: UInt16(Names.adminPort),
            registry: MetricsRegistry()
        ) { .ready }
        server.addRoute("/v1/snapshot") { [self] request in await answer(request) }
        async let serving: Void = server.run()
        var pod = Core.Pod {
            $0.metadata = ObjectMeta(
                name: name,
                namespace: namespace,
                labels: Names.gatewaySelector(site),
                ownerReferences: [TestCluster.replicaSet]
            )
            $0.spec.serviceAccountName = ChildName.proxy
            $0.spec.containers = [
                Core.Container {
                    $0.name = "proxy"; $0.image = "x"
                }
            ]
        }
        pod = try await cluster.client.create(pod)
        pod.status.phase = "Running"
        pod.status.podIP = address
        pod.status.podIPs = [Core.PodIP(address)]
        pod.status.conditions = [
            Core.PodCondition {
                $0.type = "Ready"; $0.status = "True"
            }
        ]
        _ = try await cluster.client.updateStatus(pod)
        try await serving
    }

    private func answer(_ request: AdminRequest) async -> AdminResponse {
        state.withLock { $0.asked += 1 }
        let after = request.query["after"].flatMap { UInt64($0) } ?? 0
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline, !Task.isCancelled {
            let snapshot = state.withLock { state in
                if let key = request.bearerKey { state.keys.insert(key) }
                return state.snapshot
            }
            if snapshot.version > after, let body = try? JSONEncoder().encode(snapshot) {
                return .json(body)
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
        let snapshot = state.withLock { $0.snapshot }
        return .json((try? JSONEncoder().encode(snapshot)) ?? Data())
    }

    /// How many polls have begun.
    var timesAsked: Int { state.withLock { $0.asked } }

    /// The keys with which it was asked.
    var askedWith: Set<String> { state.withLock { $0.keys } }
}
