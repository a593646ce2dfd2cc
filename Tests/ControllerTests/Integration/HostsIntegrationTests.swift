import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import ProxyContract
import Testing

@testable import Controller

extension OnServer {
    @Suite("What hosts must not name", .timeLimit(.minutes(2)))
    struct HostsIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        private var client: KubernetesClient { cluster.client }

        @Test(
            "K8: where a Service has hosts, gateways know the addresses of the Site's core Services"
        )
        func ownAddresses() async throws {
            try await cluster.withNamespaces(["hosts", "consenting", "lease"]) { names in
                let namespace = names[0]
                _ = try await client.patch(
                    Core.Namespace.self,
                    ObjectKey(name: names[1]),
                    .merge(["metadata": ["labels": ["tieline.dev/allow-from": .string(namespace)]]])
                )
                func own() async throws -> Set<IPAddress>? {
                    try await cluster.document(namespace)?.configuration.ownAddresses?.addresses
                }
                func addresses(_ name: String, _ namespace: String) async throws -> [IPAddress] {
                    try await eventually("the core Service \(name) has an address") {
                        let key = ObjectKey(namespace: namespace, name: name)
                        let found = try await client.find(Core.Service.self, key)?.addresses ?? []
                        return found.isEmpty ? nil : found.compactMap { IPAddress($0) }
                    }
                }
                try await cluster.withController(in: names[2]) {
                    _ = try await cluster.makeSite(in: namespace)
                    _ = try await cluster.makeService(in: namespace, name: "used")
                    let used = try await addresses("used", namespace)
                    // Nobody could name it in hosts: it is in no configuration.
                    #expect(try await own() == nil)
                    let outside = try await cluster.makeService(in: namespace, name: "outside") {
                        $0.hosts = ["192.0.2.7"]
                    }
                    _ = try await eventually("the addresses are told") {
                        try await own().flatMap { $0.isSuperset(of: used) ? $0 : nil }
                    }
                    _ = try await cluster.makeService(in: namespace, name: "later") {
                        $0.listen = .init(namespaces: LabelSelector())
                    }
                    let later = try await addresses("later", namespace)
                    let exposed = try await addresses("later", names[1])
                    _ = try await eventually("those that come later too, and what is exposed") {
                        try await own().flatMap {
                            $0.isSuperset(of: used + later + exposed) ? $0 : nil
                        }
                    }
                    try await client.delete(Service.self, outside.key)
                    _ = try await eventually("without hosts they are told no more") {
                        let document = try await cluster.document(namespace)
                        return (document != nil && document?.configuration.ownAddresses == nil)
                            .orNil
                    }
                }
            }
        }
    }
}
