import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import Testing

@testable import Controller

extension OnServer {
    @Suite("What a Site owns, and what it does not", .timeLimit(.minutes(3)))
    struct OwnershipIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        private var client: KubernetesClient { cluster.client }

        @Test(
            "a core Service that is not ours is left alone and taken once it is gone; ours is repaired"
        )
        func foreign() async throws {
            try await cluster.withNamespaces(["foreign", "lease"]) { names in
                let namespace = names[0]
                let core = ObjectKey(namespace: namespace, name: "backend")
                try await cluster.withController(in: names[1]) {
                    _ = try await client.create(
                        Core.Service {
                            $0.metadata = ObjectMeta(name: "backend", namespace: namespace)
                            $0.spec.ports = [Core.ServicePort(name: "x", port: 1)]
                        }
                    )
                    _ = try await cluster.makeSite(in: namespace)
                    let service = try await cluster.makeService(in: namespace)
                    let conflict = try await eventually("the conflict is told") {
                        let found = try await client.get(Service.self, service.key)
                        return condition(found, .programmed)?.reason == "Conflict" ? found : nil
                    }
                    #expect(
                        condition(conflict, .ready)?.message.contains("Service backend") == true
                    )
                    #expect(
                        try await client.get(Core.Service.self, core).spec.ports.map(\.port) == [1]
                    )
                    try await client.delete(Core.Service.self, core)
                    let made = try await eventually("the name is taken") {
                        try await client.find(Core.Service.self, core)
                    }
                    #expect(made.spec.ports.map(\.port) == [8080])
                    _ = try await client.patch(
                        Core.Service.self,
                        core,
                        .merge([
                            "spec": [
                                "selector": ["app": "mine"],
                                "ports": [
                                    ["name": "http", "port": 9090], ["name": "more", "port": 99],
                                ],
                            ]
                        ])
                    )
                    let repaired = try await eventually("it is repaired", within: .seconds(5)) {
                        let found = try await client.get(Core.Service.self, core)
                        return found.spec == made.spec ? found : nil
                    }
                    #expect(repaired.metadata.uid == made.metadata.uid)
                    try await client.delete(Core.Service.self, core)
                    _ = try await eventually("it is made again", within: .seconds(5)) {
                        try await client.find(Core.Service.self, core)
                    }
                }
            }
        }

        @Test("a Secret that is not ours is left alone and reported, and taken once it is gone")
        func foreignSecrets() async throws {
            try await cluster.withNamespaces(["secrets", "lease"]) { names in
                let namespace = names[0]
                let secrets = [
                    ChildName.configurationSecret, ChildName.credentialsSecret,
                    ChildName.sidecarSecret,
                ]
                try await cluster.withController(in: names[1]) {
                    for name in secrets {
                        _ = try await client.create(
                            Core.Secret {
                                $0.metadata = ObjectMeta(name: name, namespace: namespace)
                                $0.data = ["mine": Data("x".utf8)]
                            }
                        )
                    }
                    let site = try await cluster.makeSite(in: namespace)
                    let conflict = try await eventually("the conflict is told") {
                        let found = try await client.get(Site.self, site.key)
                        return condition(found, .programmed)?.reason == "Conflict" ? found : nil
                    }
                    #expect(condition(conflict, .programmed)?.message.contains("Secret") == true)
                    for name in secrets {
                        let key = ObjectKey(namespace: namespace, name: name)
                        let secret = try await client.get(Core.Secret.self, key)
                        #expect(Array(secret.data.keys) == ["mine"])
                        #expect(secret.metadata.ownerReferences.isEmpty)
                        try await client.delete(Core.Secret.self, key)
                    }
                    _ = try await eventually("the names are taken") {
                        let found = try await client.get(Site.self, site.key)
                        return condition(found, .programmed)?.reason == "ProxiesNotReady"
                            ? found : nil
                    }
                    #expect(try await cluster.document(namespace) != nil)
                }
            }
        }

        @Test("a Site made anew waits for what the earlier one left behind, and is no conflict")
        func recreated() async throws {
            try await cluster.withNamespaces(["anew", "lease"]) { names in
                try await cluster.withController(in: names[1]) {
                    let first = try await cluster.makeSite(in: names[0])
                    _ = try await eventually("a configuration") {
                        try await cluster.document(names[0])
                    }
                    try await client.delete(Site.self, first.key)
                    let second = try await cluster.makeSite(in: names[0])
                    let waiting = try await eventually("it waits") {
                        let found = try await client.get(Site.self, second.key)
                        return condition(found, .programmed).map { ($0, found) }
                    }
                    #expect(waiting.0.reason == "Progressing")
                    #expect(waiting.0.message.contains("the Site east, which is gone"))
                    #expect(!waiting.1.status.conditions.isTrue("Stalled"))
                    try await cluster.collect(first)
                    _ = try await eventually("it has its own") {
                        let secret = try await client.find(
                            Core.Secret.self,
                            ObjectKey(namespace: names[0], name: ChildName.configurationSecret)
                        )
                        return (secret?.metadata.controller?.uid == second.metadata.uid).orNil
                    }
                    #expect(try await cluster.events(names[0], .conflict).isEmpty)
                }
            }
        }

        @Test(
            "what the garbage collector takes with its owner is not made again before the owner's end is heard of"
        )
        func collected() async throws {
            try await cluster.withNamespaces(["collected"]) { names in
                let site = try await cluster.makeSite(in: names[0])
                let account = Core.ServiceAccount {
                    $0.metadata = ObjectMeta(name: "made", namespace: names[0])
                }
                let writer = cluster.writer
                func carryOut(hadChildren: Bool) async throws -> Core.ServiceAccount? {
                    let writes = [Write.apply(.serviceAccount(account))]
                    try await writer.carryOut(writes, of: site, hadChildren: hadChildren)
                    return try await client.find(Core.ServiceAccount.self, account.key)
                }
                #expect(try await carryOut(hadChildren: true) != nil)
                try await client.delete(Core.ServiceAccount.self, account.key)
                try await client.delete(Site.self, site.key)
                #expect(try await carryOut(hadChildren: true) == nil)
                // Another Site of that name is another owner.
                _ = try await cluster.makeSite(in: names[0])
                #expect(try await carryOut(hadChildren: true) == nil)
                // Who never had children is not asked for.
                #expect(try await carryOut(hadChildren: false) != nil)
            }
        }
    }
}
