import Foundation
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

extension OnServer {
    @Suite("Controller", .timeLimit(.minutes(3)))
    struct ControllerIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        private var client: KubernetesClient { cluster.client }

        @Test(
            "a Site gets its identity, credentials, configuration and gateways; a restart writes nothing"
        )
        func restart() async throws {
            try await cluster.withNamespaces(["site", "lease"]) { names in
                let namespace = names[0]
                let key = ObjectKey(namespace: namespace, name: "east")
                try await cluster.withController(in: names[1]) {
                    let site = try await cluster.makeSite(in: namespace) {
                        $0.linkAccess = LinkAccess(type: .clusterIP)
                    }
                    _ = try await cluster.makeService(in: namespace) { $0.selector = ["app": "a"] }
                    _ = try await cluster.makeService(in: namespace, name: "front")
                    let settled = try await eventually("the Site has its status") {
                        let site = try await client.get(Site.self, key)
                        return site.status.endpoints.isEmpty ? nil : site
                    }
                    #expect(settled.metadata.generation == site.metadata.generation)
                    #expect(condition(settled, .ready)?.reason == "ProxiesNotReady")
                    _ = try await eventually("everything is in the configuration and made") {
                        let names = try await client.listAll(
                            Core.Service.self,
                            in: Scope(namespace: namespace)
                        )
                        .map(\.metadata.name)
                        return
                            (try await cluster.document(namespace)?.configuration.services.count
                            == 2
                            && names.count == 4).orNil
                    }
                    for name in [
                        "tieline-site-ca", "tieline-proxy", "tieline-proxy-credentials",
                        "tieline-sidecar",
                    ] {
                        _ = try await client.get(
                            Core.Secret.self,
                            ObjectKey(namespace: namespace, name: name)
                        )
                    }
                    _ = try await whenQuiet { try await cluster.versions([namespace]) }
                }
                let before = try await cluster.versions([namespace])
                try await cluster.withController(in: names[1]) {
                    // A new Site shows that the controller has been through its queue.
                    let other = try await cluster.makeSite(in: names[1], name: "other")
                    _ = try await eventually("the controller works") {
                        try await client.get(Site.self, other.key).status.siteID
                    }
                    let after = try await cluster.versions([namespace])
                    #expect(after == before)
                }
            }
        }

        @Test(
            "the identity survives the Site; a lost configuration comes back with a higher generation"
        )
        func survival() async throws {
            try await cluster.withNamespaces(["survive", "lease"]) { names in
                let namespace = names[0]
                try await cluster.withController(in: names[1]) {
                    var site = try await cluster.makeSite(in: namespace)
                    let first = try await eventually("an identity") {
                        try await client.get(Site.self, site.key).status.siteID
                    }
                    let generation = try await eventually("a configuration") {
                        try await cluster.document(namespace)?.generation
                    }
                    try await client.delete(Site.self, site.key)
                    // No garbage collector runs here: take away what the Site owned.
                    for name in [
                        ChildName.configurationSecret, ChildName.credentialsSecret,
                        ChildName.sidecarSecret,
                    ] {
                        try await client.delete(
                            Core.Secret.self,
                            ObjectKey(namespace: namespace, name: name)
                        )
                    }
                    site = try await cluster.makeSite(in: namespace, name: "again")
                    let second = try await eventually("the identity again") {
                        try await client.get(Site.self, site.key).status.siteID
                    }
                    #expect(first == second)
                    let later = try await eventually("the configuration again") {
                        try await cluster.document(namespace)?.generation
                    }
                    #expect(later > generation)
                }
            }
        }

        @Test(
            "of two Sites the older one holds, the other says which; it follows when the older one goes"
        )
        func twoSites() async throws {
            try await cluster.withNamespaces(["two", "lease"]) { names in
                try await cluster.withController(in: names[1]) {
                    let first = try await cluster.makeSite(in: names[0], name: "first")
                    _ = try await eventually("the first is accepted") {
                        condition(try await client.get(Site.self, first.key), .accepted)?.status
                            == .yes
                            ? true : nil
                    }
                    // Ages are told in whole seconds, then by UID: make the second one younger for certain.
                    let born = try #require(first.metadata.creationTimestamp)
                    _ = try await eventually("the second of the first has passed") {
                        (Int64(Date().timeIntervalSince1970) > born.seconds).orNil
                    }
                    let second = try await cluster.makeSite(in: names[0], name: "second")
                    let refused = try await eventually("the second is refused") {
                        let site = try await client.get(Site.self, second.key)
                        return condition(site, .accepted)?.reason == "Conflict" ? site : nil
                    }
                    #expect(condition(refused, .accepted)?.message.contains("\"first\"") == true)
                    #expect(refused.status.conditions.isTrue("Stalled"))
                    _ = try await eventually("an Event") {
                        (try await cluster.events(names[0], .conflict).count == 1).orNil
                    }
                    try await client.delete(Site.self, first.key)
                    _ = try await eventually("the second is accepted") {
                        condition(try await client.get(Site.self, second.key), .accepted)?.status
                            == .yes ? true : nil
                    }
                }
            }
        }

        @Test("a write that fails keeps none of the others from happening")
        func writes() async throws {
            try await cluster.withNamespaces(["writes"]) { names in
                let writer = Writer(
                    client: client,
                    recorder: EventRecorder(
                        client: client,
                        controller: "tieline.dev/controller",
                        instance: "t",
                        logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }
                    ),
                    logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }
                )
                func account(_ name: String, _ namespace: String) -> Write {
                    .apply(
                        .serviceAccount(
                            Core.ServiceAccount {
                                $0.metadata = ObjectMeta(name: name, namespace: namespace)
                            }
                        )
                    )
                }
                let error = await #expect(throws: APIError.self) {
                    try await writer.carryOut([
                        account("a", "no-such-namespace"), account("Not_A_Name", names[0]),
                        account("b", names[0]),
                    ])
                }
                #expect(error?.isNotFound == true)
                let made = try await client.find(
                    Core.ServiceAccount.self,
                    ObjectKey(namespace: names[0], name: "b")
                )
                #expect(made != nil)
            }
        }

        @Test(
            "objects that do not decode keep what they had, also over a restart, and are told what is wrong"
        )
        func undecodable() async throws {
            try await cluster.withNamespaces(["unread", "lease"]) { names in
                let namespace = names[0]
                let core = ObjectKey(namespace: namespace, name: "front")
                func made() async throws -> (generation: UInt64, uid: String)? {
                    guard let document = try await cluster.document(namespace),
                        document.configuration.services.count == 1,
                        document.configuration.links.count == 1,
                        let uid = try await client.find(Core.Service.self, core)?.metadata.uid
                    else { return nil }
                    return (document.generation, uid)
                }
                func versions() async throws -> [String?] {
                    var found: [String?] = []
                    for resource in [Site.resource, Link.resource, Service.resource] {
                        let bytes = try await client.send(
                            Request(method: .get, path: resource.path(namespace: namespace))
                        )
                        let list = try JSONDecoder().decode(JSONValue.self, from: bytes)
                        found +=
                            list["items"]?.array?.map {
                                $0["metadata"]?["resourceVersion"]?.string
                            } ?? []
                    }
                    return found
                }
                func spoil<Object: KubernetesObject>(
                    _ type: Object.Type,
                    _ name: String,
                    _ spec: JSONValue
                ) async throws {
                    let key = ObjectKey(namespace: namespace, name: name)
                    let patch = try Request.patch(
                        type.resource,
                        key,
                        .merge(["spec": spec])
                    )
                    _ = try await eventually("the wider schema is in force") {
                        try? await client.send(patch)
                    }
                    await #expect(throws: APIError.self) { try await client.get(type, key) }
                }
                var before: (generation: UInt64, uid: String)?
                try await cluster.withController(in: names[1]) {
                    _ = try await cluster.makeSite(in: namespace)
                    _ = try await cluster.makeService(in: namespace, name: "front")
                    let remote = try #require(SiteID(String(repeating: "W", count: 26)))
                    _ = try await client.create(
                        Link(
                            metadata: ObjectMeta(name: "west", namespace: namespace),
                            spec: LinkSpec(
                                endpoints: [LinkEndpoint(host: "west.example.com", port: 5671)],
                                remoteSiteID: remote
                            )
                        )
                    )
                    before = try await eventually("all is made") { try await made() }
                }
                func judge() async throws {
                    try await cluster.withController(in: names[1]) {
                        for (resource, name) in [
                            (Site.resource, "east"), (Link.resource, "west"),
                            (Service.resource, "front"),
                        ] {
                            let key = ObjectKey(namespace: namespace, name: name)
                            let path = resource.path(namespace: namespace, name: name)
                            let conditions = try await eventually("\(name) is told") {
                                let bytes = try await client.send(Request(method: .get, path: path))
                                let object = try JSONDecoder().decode(JSONValue.self, from: bytes)
                                let conditions = object["status"]?["conditions"]?.array ?? []
                                return conditions.contains { $0["type"] == "Stalled" }
                                    ? conditions : nil
                            }
                            let accepted = conditions.first { $0["type"] == "Accepted" }
                            #expect(accepted?["reason"] == "Invalid", "\(key)")
                            #expect(accepted?["message"]?.string?.contains("spec.") == true)
                        }
                        let after = try #require(try await made())
                        #expect(after.generation == before?.generation && after.uid == before?.uid)
                        _ = try await whenQuiet { try await versions() }
                        // With a Site that can be read, Link and Service still have their parts.
                        let key = ObjectKey(namespace: namespace, name: "east")
                        _ = try await client.patch(
                            Site.self,
                            key,
                            .merge(["spec": ["drain": ["delay": "5s"]]])
                        )
                        _ = try await eventually("the Site is read again") {
                            let site = try await client.get(Site.self, key)
                            return
                                (condition(site, .accepted)?.status == .yes
                                && site.status.services?.total == 1).orNil
                        }
                        let last = try #require(try await made())
                        #expect(last.generation == before?.generation && last.uid == before?.uid)
                    }
                }
                // As if an older version of the schema had let them in.
                try await cluster.withWiderSchemas([
                    ("sites", ["drain", "delay"]), ("links", ["remoteSiteID"]),
                    ("services", ["timeouts", "idle"]),
                ]) {
                    try await spoil(Site.self, "east", ["drain": ["delay": "soon"]])
                    try await spoil(Link.self, "west", ["remoteSiteID": "x"])
                    try await spoil(Service.self, "front", ["timeouts": ["idle": "long"]])
                    try await judge()
                }
            }
        }

        @Test("a Service without a Site waits for one, and is Stalled after half a minute")
        func noSite() async throws {
            try await cluster.withNamespaces(["nosite", "lease"]) { names in
                try await cluster.withController(in: names[1]) {
                    let service = try await cluster.makeService(in: names[0])
                    _ = try await eventually("it waits") {
                        condition(try await client.get(Service.self, service.key), .reconciling)?
                            .reason == "NoSite" ? true : nil
                    }
                    _ = try await eventually("it is Stalled, NoSite", within: .seconds(45)) {
                        condition(try await client.get(Service.self, service.key), .stalled)?.reason
                            == "NoSite" ? true : nil
                    }
                }
            }
        }

        /// What another namespace has of the Service waits for the next Site with its address, and then goes.
        private func replace(_ site: Site, _ service: Service, _ core: ObjectKey) async throws {
            func isWithoutSite(_ type: ConditionType) async throws -> Condition? {
                let found = condition(try await client.get(Service.self, service.key), type)
                return found?.reason == "NoSite" ? found : nil
            }
            let before = try await client.get(Core.Service.self, core)
            try await client.delete(Site.self, site.key)
            let told = try await eventually("the gap is seen") { try await isWithoutSite(.ready) }
            #expect(told.message.hasSuffix("and then goes"))
            try await client.delete(
                Core.Pod.self,
                ObjectKey(namespace: site.metadata.namespace, name: "gw")
            )
            _ = try await eventually("it leads to no gateway that is gone") {
                let slices = try await client.listAll(
                    Discovery.EndpointSlice.self,
                    in: Scope(namespace: core.namespace)
                )
                return (slices.count == 1 && slices[0].endpoints.isEmpty).orNil
            }
            try await cluster.collect(site)
            let next = try await cluster.makeSite(in: site.metadata.namespace ?? "")
            _ = try await eventually("the next Site has it") {
                (try await isWithoutSite(.ready) == nil).orNil
            }
            let after = try await client.get(Core.Service.self, core)
            #expect(after.metadata.uid == before.metadata.uid)
            #expect(after.spec.clusterIP == before.spec.clusterIP)
            try await client.delete(Site.self, next.key)
            _ = try await eventually("the gap is seen") { try await isWithoutSite(.ready) }
            #expect(try await client.find(Core.Service.self, core) != nil)
            _ = try await eventually("no Site came", within: .seconds(45)) {
                (try await client.find(Core.Service.self, core) == nil).orNil
            }
            let stalled = try await eventually("the status says so") {
                let found = try await isWithoutSite(.stalled)
                return found?.message.hasSuffix("nothing in other namespaces") == true ? found : nil
            }
            #expect(stalled.status == .yes)
            try await cluster.collect(next)
            _ = try await cluster.makeSite(in: site.metadata.namespace ?? "")
            _ = try await eventually("it comes back with a Site") {
                try await client.find(Core.Service.self, core)
            }
        }

        @Test("a namespace that consents gets the Service, until label, Site or Service go")
        func exposure() async throws {
            try await cluster.withNamespaces(["expose", "guest", "lease"]) { names in
                let (namespace, guest) = (names[0], names[1])
                let core = ObjectKey(namespace: guest, name: "backend")
                func label(_ value: JSONValue) async throws {
                    _ = try await client.patch(
                        Core.Namespace.self,
                        ObjectKey(name: guest),
                        .merge([
                            "metadata": ["labels": ["team": "a", "tieline.dev/allow-from": value]]
                        ])
                    )
                }
                func gone() async throws {
                    _ = try await eventually("nothing is left") {
                        let slices = try await client.listAll(
                            Discovery.EndpointSlice.self,
                            in: Scope(namespace: guest)
                        )
                        return
                            (try await client.find(Core.Service.self, core) == nil
                            && slices.isEmpty)
                            .orNil
                    }
                }
                try await cluster.withController(in: names[2]) {
                    let site = try await cluster.makeSite(in: namespace)
                    _ = try await eventually("the gateways' ServiceAccount") {
                        try await client.find(
                            Core.ServiceAccount.self,
                            ObjectKey(namespace: namespace, name: ChildName.proxy)
                        )
                    }
                    var pod = try await client.create(
                        Core.Pod {
                            $0.metadata = ObjectMeta(
                                name: "gw",
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
                    )
                    pod.status.podIP = "10.244.77.1"
                    pod.status.podIPs = [Core.PodIP("10.244.77.1")]
                    _ = try await client.updateStatus(pod)
                    let service = try await cluster.makeService(in: namespace) {
                        $0.listen = .init(namespaces: LabelSelector(matchLabels: ["team": "a"]))
                    }
                    try await label(.string(namespace))
                    let slice = try await eventually("the Service and its endpoints appear") {
                        let slices = try await client.listAll(
                            Discovery.EndpointSlice.self,
                            in: Scope(namespace: guest)
                        )
                        let found = try await client.find(Core.Service.self, core)
                        return found == nil
                            ? nil
                            : slices.first { $0.endpoints.map(\.addresses) == [["10.244.77.1"]] }
                    }
                    #expect(slice.ports.first?.port == 10_000)
                    try await label(nil)
                    try await gone()
                    try await label(.string(namespace))
                    _ = try await eventually("it comes back") {
                        try await client.find(Core.Service.self, core)
                    }
                    try await replace(site, service, core)
                    try await client.delete(Service.self, service.key)
                    try await gone()
                    _ = try await eventually("the Service itself goes") {
                        (try await client.find(Service.self, service.key) == nil).orNil
                    }
                }
            }
        }
    }
}
