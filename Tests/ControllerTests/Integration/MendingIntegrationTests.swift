import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import ProxyContract
import Testing

@testable import Controller

extension OnServer {
    @Suite("What somebody takes from a site", .timeLimit(.minutes(2)))
    struct MendingIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        private var client: KubernetesClient { cluster.client }

        /// Much less than the minute after which Secrets are read that are not watched.
        private static let atOnce: Duration = .seconds(8)

        private func find<Object: KubernetesObject>(
            _ type: Object.Type,
            _ name: String,
            _ namespace: String
        ) async throws -> Object? {
            try await client.find(type, ObjectKey(namespace: namespace, name: name))
        }

        /// Deletes an object that is there, and waits for another one in its place.
        private func replace<Object: KubernetesObject>(
            _ type: Object.Type,
            _ name: String,
            _ namespace: String
        ) async throws {
            let before = try #require(try await find(type, name, namespace))
            try await client.delete(type, before.key)
            _ = try await eventually("\(Object.resource.kind) \(name) is back", within: Self.atOnce)
            {
                let found = try await find(type, name, namespace)
                return found.flatMap { $0.metadata.uid != before.metadata.uid ? $0 : nil }
            }
        }

        @Test("K16: what somebody deletes or edits is mended at once, then nothing is written")
        func mending() async throws {
            try await cluster.withNamespaces(["mending", "lease"]) { names in
                let namespace = names[0]
                try await cluster.withController(in: names[1]) {
                    let site = try await cluster.makeSite(in: namespace)
                    _ = try await eventually("the gateways are made") {
                        try await find(Apps.Deployment.self, ChildName.proxy, namespace)
                    }
                    _ = try await whenQuiet { try await cluster.versions([namespace]) }
                    for name in [
                        ChildName.configurationSecret, ChildName.credentialsSecret,
                        ChildName.sidecarSecret,
                    ] {
                        try await replace(Core.Secret.self, name, namespace)
                    }
                    try await replace(Core.ServiceAccount.self, ChildName.proxy, namespace)
                    try await replace(RBAC.RoleBinding.self, ChildName.proxy, namespace)
                    try await replace(RBAC.RoleBinding.self, Names.siteRole, namespace)
                    try await edit(ChildName.configurationSecret, namespace)
                    try await edit(ChildName.credentialsSecret, namespace)
                    #expect(try await client.get(Site.self, site.key).status.siteID != nil)
                    _ = try await whenQuiet { try await cluster.versions([namespace]) }
                }
            }
        }

        /// Takes the content out of a Secret, and waits until there is some again.
        private func edit(_ name: String, _ namespace: String) async throws {
            let before = try #require(try await find(Core.Secret.self, name, namespace))
            var broken = before
            broken.data = broken.data.mapValues { _ in Data("broken".utf8) }
            _ = try await client.update(broken)
            _ = try await eventually("\(name) is mended", within: Self.atOnce) {
                let found = try await find(Core.Secret.self, name, namespace)
                return found.flatMap { found in
                    found.data.values.contains(Data("broken".utf8)) ? nil : found
                }
            }
        }

        @Test("several gateways have a disruption budget, which is mended and goes with them")
        func budget() async throws {
            try await cluster.withNamespaces(["budget", "lease"]) { names in
                let namespace = names[0]
                func budget() async throws -> Policy.PodDisruptionBudget? {
                    try await find(Policy.PodDisruptionBudget.self, ChildName.proxy, namespace)
                }
                try await cluster.withController(in: names[1]) {
                    let site = try await cluster.makeSite(in: namespace) {
                        $0.proxy = ProxySettings(replicas: 2)
                    }
                    _ = try await eventually("a budget") { try await budget() }
                    try await replace(Policy.PodDisruptionBudget.self, ChildName.proxy, namespace)
                    _ = try await whenQuiet { try await cluster.versions([namespace]) }
                    // Somebody else's for the same pods: of two, none would be evicted.
                    let other = Policy.PodDisruptionBudget {
                        $0.metadata = ObjectMeta(name: "mine", namespace: namespace)
                        $0.spec.minAvailable = .int(1)
                        $0.spec.selector = LabelSelector(matchLabels: Names.gatewaySelector(site))
                    }
                    _ = try await client.create(other)
                    _ = try await eventually("ours gives way") { try await (budget() == nil).orNil }
                    try await client.delete(Policy.PodDisruptionBudget.self, other.key)
                    _ = try await eventually("ours is back") { try await budget() }
                    _ = try await client.patch(
                        Site.self,
                        site.key,
                        .merge(["spec": ["proxy": ["replicas": 1]]])
                    )
                    _ = try await eventually("a single gateway has none") {
                        try await (budget() == nil).orNil
                    }
                }
            }
        }

        @Test("K16: an identity that is taken away is told at once")
        func identity() async throws {
            try await cluster.withNamespaces(["mending", "lease"]) { names in
                try await cluster.withController(in: names[1]) {
                    let site = try await cluster.makeSite(in: names[0])
                    _ = try await eventually("an identity") {
                        try await client.get(Site.self, site.key).status.siteID
                    }
                    _ = try await whenQuiet { try await cluster.versions([names[0]]) }
                    let key = ObjectKey(namespace: names[0], name: ChildName.authoritySecret)
                    try await client.delete(Core.Secret.self, key)
                    _ = try await eventually("the loss is told", within: Self.atOnce) {
                        let found = try await client.get(Site.self, site.key)
                        return condition(found, .stalled)?.reason == "IdentityLost" ? found : nil
                    }
                }
            }
        }
    }
}
