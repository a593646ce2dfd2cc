import Certificates
import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import Proxy
import ProxyContract
import Synchronization
import Testing

@testable import ProxyProcess

private let kubeconfig = ProcessInfo.processInfo.environment["TIELINE_TEST_KUBECONFIG"]

/// Needs a running API server: `TIELINE_TEST_KUBECONFIG`.
@Suite("Sources of a gateway on an API server", .enabled(if: kubeconfig != nil))
struct ClusterTests {
    private func secret(_ name: String, _ namespace: String, _ data: [String: Data]) -> Core.Secret
    {
        Core.Secret {
            $0.metadata.name = name
            $0.metadata.namespace = namespace
            $0.data = data
        }
    }

    @Test("Secrets and EndpointSlices are followed; a deleted Secret takes nothing away")
    func follow() async throws {
        let client = KubernetesClient(configuration: try .load(kubeconfig: kubeconfig))
        let namespace = "proxy-process-\(UInt32.random(in: 0...UInt32.max))"
        _ = try await client.create(Core.Namespace { $0.metadata.name = namespace })
        let now = Date()
        let authority = try SiteAuthority.make(now: now)
        let recorder = Recorder(site: authority.siteID)
        try await withDirectory { path in
            let first = try authority.issueLeaf(role: .gateway, now: now - 1000)
            let sources = GatewaySources(
                GatewayOptions(
                    configuration: "\(path)/configuration",
                    credentials: "\(path)/credentials",
                    state: "\(path)/state",
                    namespace: namespace
                ),
                credentials: ProxyCredentials(
                    certificateChain: first.chainPEM,
                    privateKey: first.keyPEM
                ),
                dataPlane: recorder,
                quiet
            )
            let work = Task {
                await withTaskGroup(of: Void.self) { group in
                    for piece in sources.work(client: client) { group.addTask { await piece() } }
                }
            }
            try await exercise(client, namespace, recorder, authority, now)
            work.cancel()
            await work.value
            let state = StateDirectory("\(path)/state", logger: quiet)
            // Written by a thread of its own.
            #expect(try await eventually { state.loadConfiguration()?.generation == 3 })
            #expect(try await eventually { state.loadEndpoints().count == 1 })
        }
        try await client.delete(Core.Namespace.self, ObjectKey(name: namespace))
    }

    private func exercise(
        _ client: KubernetesClient,
        _ namespace: String,
        _ recorder: Recorder,
        _ authority: SiteAuthority,
        _ now: Date
    ) async throws {
        let file = ConfigurationDocument.fileName
        var configuration = try await client.create(
            secret(ChildName.configurationSecret, namespace, [file: document(1).encoded()])
        )
        _ = try await client.create(
            secret("other", namespace, [file: document(9).encoded()])
        )
        #expect(try await eventually { recorder.told.withLock { $0.documents.count } == 1 })
        configuration.data[file] = try document(2).encoded()
        configuration = try await client.update(configuration)
        let begin = ContinuousClock.now
        #expect(try await eventually { recorder.told.withLock { $0.documents.count } == 2 })
        #expect(ContinuousClock.now - begin < .seconds(5))

        let leaf = try authority.issueLeaf(role: .gateway, now: now)
        _ = try await client.create(
            secret(
                ChildName.credentialsSecret,
                namespace,
                ["tls.crt": Data(leaf.chainPEM.utf8), "tls.key": Data(leaf.keyPEM.utf8)]
            )
        )
        #expect(try await eventually { recorder.told.withLock { $0.credentials.count } == 1 })

        let service = ChildName.endpointsService(of: "web")
        let slice = Discovery.EndpointSlice {
            $0.metadata.name = "web-1"
            $0.metadata.namespace = namespace
            $0.metadata.labels = [Discovery.EndpointSlice.serviceNameLabel: service]
            $0.endpoints = [Discovery.Endpoint { $0.addresses = ["10.1.2.3"] }]
            $0.ports = [
                Discovery.EndpointPort {
                    $0.name = "http"
                    $0.port = 80
                    $0.protocol = "TCP"
                }
            ]
        }
        _ = try await client.create(slice)
        #expect(
            try await eventually { recorder.told.withLock { $0.endpoints[service]?.count } == 1 }
        )
        try await parts(client, namespace, recorder, configuration)
        try await client.delete(
            Core.Secret.self,
            ObjectKey(namespace: namespace, name: ChildName.configurationSecret)
        )
        #expect(recorder.told.withLock { $0.documents.map(\.generation) } == [1, 2, 3])
    }

    /// The head names a part that is not there yet, then is.
    private func parts(
        _ client: KubernetesClient,
        _ namespace: String,
        _ recorder: Recorder,
        _ head: Core.Secret
    ) async throws {
        let service = ServiceConfiguration(
            name: "a",
            address: try #require(ServiceAddress("a")),
            ports: []
        )
        var whole = try document(3)
        whole.parts = [try ConfigurationPart(ConfigurationPart.line(service))]
        let part = try #require(whole.parts?.first)
        var head = head
        head.data[ConfigurationDocument.fileName] = try whole.encoded()
        _ = try await client.update(head)
        #expect(
            try await eventually {
                recorder.told.withLock { $0.errors.contains { $0.contains("is not there") } }
            }
        )
        #expect(recorder.told.withLock { $0.documents.count } == 2)
        _ = try await client.create(
            secret(
                ChildName.configurationPart(0),
                namespace,
                [ConfigurationPart.fileName(part.digest): part.bytes]
            )
        )
        #expect(try await eventually { recorder.told.withLock { $0.documents.last } == whole })
    }
}
