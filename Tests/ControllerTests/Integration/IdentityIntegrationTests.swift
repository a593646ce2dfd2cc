import Certificates
import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import ProxyContract
import Testing

@testable import Controller

extension OnServer {
    @Suite("What a site is and keeps", .timeLimit(.minutes(3)))
    struct IdentityIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        private var client: KubernetesClient { cluster.client }

        private func secret(_ name: String, _ namespace: String) async throws -> Core.Secret? {
            try await client.find(Core.Secret.self, ObjectKey(namespace: namespace, name: name))
        }

        private func lost(_ site: Site) async throws -> Site {
            try await eventually("the loss is told") {
                let found = try await client.get(Site.self, site.key)
                return condition(found, .stalled)?.reason == "IdentityLost" ? found : nil
            }
        }

        @Test(
            "K3: a lost identity stops nothing, comes back with its Secret, and is replaced on demand"
        )
        func identity() async throws {
            try await cluster.withNamespaces(["identity", "lease"]) { names in
                let namespace = names[0]
                let key = ObjectKey(namespace: namespace, name: ChildName.authoritySecret)
                var site = try await cluster.makeSite(in: namespace)
                try await cluster.withController(in: names[1]) {
                    site = try await eventually("an identity") {
                        let found = try await client.get(Site.self, site.key)
                        return found.status.siteID == nil ? nil : found
                    }
                }
                let first = try #require(site.status.siteID)
                var backup = try await client.get(Core.Secret.self, key)
                let leaf = try await secret(ChildName.credentialsSecret, namespace)
                try await client.delete(Core.Secret.self, key)
                try await cluster.withController(in: names[1]) {
                    let stalled = try await lost(site)
                    #expect(stalled.status.siteID == first)
                    _ = try await eventually("an Event says so") {
                        (try await cluster.events(namespace, .identityLost).count == 1).orNil
                    }
                    // The site goes on: also with what changes meanwhile.
                    _ = try await cluster.makeService(in: namespace)
                    _ = try await eventually("the Service is configured") {
                        try await cluster.document(namespace)?.configuration.services.first
                    }
                    #expect(try await secret(ChildName.credentialsSecret, namespace) == leaf)
                    #expect(try await client.find(Core.Secret.self, key) == nil)
                    backup.metadata = ObjectMeta(name: key.name, namespace: namespace)
                    _ = try await client.create(backup)
                    _ = try await eventually("it heals") {
                        let found = try await client.get(Site.self, site.key)
                        return condition(found, .stalled) == nil ? found : nil
                    }
                    #expect(try await client.get(Site.self, site.key).status.siteID == first)
                }
                try await client.delete(Core.Secret.self, key)
                try await replace(first, of: site, lease: names[1])
            }
        }

        /// Asks for another identity in the place of the lost one, and loses that as well.
        private func replace(_ first: SiteID, of site: Site, lease: String) async throws {
            let namespace = site.metadata.namespace ?? ""
            try await cluster.withController(in: lease) {
                _ = try await lost(site)
                _ = try await client.patch(
                    Site.self,
                    site.key,
                    .merge([
                        "metadata": [
                            "annotations": [Names.newIdentityAnnotation: .string(first.text)]
                        ]
                    ])
                )
                let second = try await eventually("another identity") {
                    let found = try await client.get(Site.self, site.key)
                    return found.status.siteID == first ? nil : found.status.siteID
                }
                let gateways = try await eventually("the gateways are rolled") {
                    let found = try await client.get(
                        Apps.Deployment.self,
                        ObjectKey(namespace: namespace, name: ChildName.proxy)
                    )
                    let annotations = found.spec.template.metadata.annotations
                    return annotations[Names.identityAnnotation] == second.text ? found : nil
                }
                #expect(gateways.metadata.generation == 2)
                #expect(
                    try await cluster.document(namespace)?.configuration.site.id == second
                )
                let events = try await eventually("an Event") {
                    let found = try await cluster.events(namespace, .identityChanged)
                    return found.isEmpty ? nil : found
                }
                #expect(events.count == 1)
            }
            try await client.delete(
                Core.Secret.self,
                ObjectKey(namespace: namespace, name: ChildName.authoritySecret)
            )
            // The wish is still in Git, and names an identity that is long gone.
            try await cluster.withController(in: lease) { _ = try await lost(site) }
        }

        private func wish(_ text: String, of site: Site) async throws {
            _ = try await client.patch(
                Site.self,
                site.key,
                .merge([
                    "metadata": ["annotations": [Names.nextIdentityAnnotation: .string(text)]]
                ])
            )
        }

        /// All that follows from an identity, once it does.
        private func wholly(_ id: SiteID, _ site: Site) async throws -> Site {
            let namespace = site.metadata.namespace ?? ""
            return try await eventually("the site is \(id)", within: .seconds(30)) {
                let found = try await client.get(Site.self, site.key)
                let gateways = try await client.find(
                    Apps.Deployment.self,
                    ObjectKey(namespace: namespace, name: ChildName.proxy)
                )
                let rolled = gateways?.spec.template.metadata.annotations[Names.identityAnnotation]
                let leafs = [
                    try await secret(ChildName.credentialsSecret, namespace),
                    try await secret(ChildName.sidecarSecret, namespace),
                ]
                guard found.status.siteID == id, rolled == id.text,
                    leafs.allSatisfy({ $0.flatMap(IdentityPlan.siteID) == id }),
                    try await cluster.document(namespace)?.configuration.site.id == id
                else { return nil }
                return found
            }
        }

        @Test("K3: a planned rotation, with a controller that ends between any two of its writes")
        func rotation() async throws {
            try await cluster.withNamespaces(["rotation", "lease"]) { names in
                let namespace = names[0]
                let key = ObjectKey(namespace: namespace, name: ChildName.authoritySecret)
                let site = try await cluster.makeSite(in: namespace)
                try await wish("prepare", of: site)
                var (first, next): (SiteID?, SiteID?)
                try await cluster.withController(in: names[1]) {
                    (first, next) = try await eventually("another identity is prepared") {
                        let status = try await client.get(Site.self, site.key).status
                        return status.nextSiteID == nil ? nil : (status.siteID, status.nextSiteID)
                    }
                    _ = try await wholly(#require(first), site)
                    _ = try await eventually("an Event says so") {
                        (try await cluster.events(namespace, .identityPrepared).count == 1).orNil
                    }
                }
                let (old, new) = (try #require(first), try #require(next))
                // The wish is for one that nobody prepared: nothing changes, and that is told.
                try await wish(String(repeating: "Z", count: 26), of: site)
                let before = try await client.get(Core.Secret.self, key)
                try await cluster.withController(in: names[1]) {
                    let stalled = try await eventually("it is told") {
                        let found = try await client.get(Site.self, site.key)
                        return condition(found, .accepted)?.reason == "Invalid" ? found : nil
                    }
                    #expect(condition(stalled, .accepted)?.message.contains(new.text) == true)
                }
                #expect(try await client.get(Core.Secret.self, key).data == before.data)
                try await wish(new.text, of: site)
                try await cluster.withController(in: names[1]) {
                    let found = try await wholly(new, site)
                    #expect(found.status.previousSiteID == old)
                    #expect(found.status.nextSiteID == nil)
                    _ = try await eventually("an Event says so") {
                        (try await cluster.events(namespace, .identityChanged).count == 1).orNil
                    }
                }
                // There and back, with other writes done by whoever was killed.
                for (id, leafs) in [(old, 0), (new, 1), (old, 2), (new, 0)] {
                    try await goOver(to: id, site: site, leafs: leafs, lease: names[1])
                }
                let secret = try await client.get(Core.Secret.self, key)
                try await wish("none", of: site)
                try await cluster.withController(in: names[1]) {
                    _ = try await eventually("the former identity is forgotten") {
                        let found = try await client.get(Site.self, site.key)
                        return found.status.previousSiteID == nil ? found : nil
                    }
                }
                let last = try await client.get(Core.Secret.self, key)
                #expect(last.data.keys.sorted() == ["tls.crt", "tls.key"])
                #expect(last.data["tls.key"] == secret.data["tls.key"])
            }
        }

        /// Does what a controller does that is killed after its first writes, and lets another one come.
        ///
        /// These are the one that decides, and `leafs` of those that follow.
        private func goOver(
            to new: SiteID,
            site: Site,
            leafs: Int,
            lease: String
        ) async throws {
            let namespace = site.metadata.namespace ?? ""
            let key = ObjectKey(namespace: namespace, name: ChildName.authoritySecret)
            let read = try await client.get(Core.Secret.self, key)
            let old = try IdentityPlan.authority(read, now: Date())
            let rotation = try IdentityRotation(
                wish: .use(new),
                secret: read,
                current: old,
                now: Date()
            )
            let writer = cluster.writer
            try await wish(new.text, of: site)
            let stored = try await writer.change(read, rotation.changes)
            let authority = try IdentityPlan.authority(stored, now: Date())
            #expect(authority.siteID == new)
            // Whoever still has the Secret as it was before cannot turn it back.
            await #expect(throws: APIError.self) { try await writer.change(read, rotation.changes) }
            for role in ProxyRole.allCases.prefix(leafs) {
                let name = role == .sidecar ? ChildName.sidecarSecret : ChildName.credentialsSecret
                let existing = try await secret(name, namespace)
                let write = try IdentityPlan.leaf(
                    role: role,
                    existing: existing,
                    reading: existing.map { LeafReading($0, of: role, by: authority) },
                    authority: authority,
                    site: try await client.get(Site.self, site.key),
                    now: Date()
                )
                _ = try await writer.write(#require(write))
            }
            try await cluster.withController(in: lease) {
                let found = try await wholly(new, site)
                #expect(found.status.previousSiteID == old.siteID)
                #expect(found.status.nextSiteID == nil)
                _ = try await eventually("an Event says so") {
                    try await cluster.events(namespace, .identityChanged).contains {
                        $0.note?.contains("from \(old.siteID) to \(new)") == true
                    }.orNil
                }
            }
            #expect(try await client.get(Core.Secret.self, key).data == stored.data)
        }

        @Test("a brought CA: waited for, used, not exchanged unasked, never replaced by ours")
        func brought() async throws {
            try await cluster.withNamespaces(["brought", "lease"]) { names in
                let (namespace, name) = (names[0], "mine")
                let site = try await cluster.makeSite(in: namespace) {
                    $0.identity = BroughtIdentity(secretName: name)
                }
                func told(_ type: ConditionType, _ reason: Reason) async throws -> Site {
                    try await eventually("\(reason) is told") {
                        let found = try await client.get(Site.self, site.key)
                        return condition(found, type)?.reason == reason.rawValue ? found : nil
                    }
                }
                func bring(_ authority: SiteAuthority) -> Core.Secret {
                    Samples.authoritySecret(authority, name: name, namespace: namespace)
                }
                let first = try SiteAuthority.make(now: Date())
                let second = try SiteAuthority.make(now: Date())
                try await cluster.withController(in: names[1]) {
                    _ = try await told(.reconciling, .identityMissing)
                    _ = try await client.create(bring(first))
                    _ = try await wholly(first.siteID, site)
                    _ = try await client.patch(
                        Core.Secret.self,
                        ObjectKey(namespace: namespace, name: name),
                        .merge(["data": .object(bring(second).base64)])
                    )
                    let stalled = try await told(.stalled, .identityMismatch)
                    #expect(stalled.status.siteID == first.siteID)
                    #expect(stalled.status.nextSiteID == second.siteID)
                    _ = try await cluster.makeService(in: namespace)
                    _ = try await eventually("what works goes on") {
                        try await cluster.document(namespace)?.configuration.services.first
                    }
                }
                try await wish(second.siteID.text, of: site)
                try await cluster.withController(in: names[1]) {
                    let found = try await wholly(second.siteID, site)
                    #expect(found.status.certificates?.gateway != nil)
                    try await client.delete(
                        Core.Secret.self,
                        ObjectKey(namespace: namespace, name: name)
                    )
                    let waiting = try await told(.reconciling, .identityMissing)
                    #expect(waiting.status.siteID == second.siteID)
                }
                #expect(try await secret(ChildName.authoritySecret, namespace) == nil)
            }
        }

        @Test("K2: a broken CA Secret and a restart take nothing out of other namespaces")
        func exposures() async throws {
            try await cluster.withNamespaces(["unknown", "guest", "lease"]) { names in
                let (namespace, guest) = (names[0], names[1])
                _ = try await client.patch(
                    Core.Namespace.self,
                    ObjectKey(name: guest),
                    .merge(["metadata": ["labels": [Names.consentLabel: .string(namespace)]]])
                )
                let exposed = ObjectKey(namespace: guest, name: "backend")
                let site = try await cluster.makeSite(in: namespace)
                try await cluster.withController(in: names[2]) {
                    _ = try await cluster.makeService(in: namespace) {
                        $0.listen = .init(
                            namespaces: LabelSelector(matchLabels: [
                                "kubernetes.io/metadata.name": guest
                            ])
                        )
                    }
                    _ = try await eventually("it is exposed") {
                        try await client.find(Core.Service.self, exposed)
                    }
                }
                let before = try await client.get(Core.Service.self, exposed)
                for name in [ChildName.authoritySecret, ChildName.configurationSecret] {
                    _ = try await client.patch(
                        Core.Secret.self,
                        ObjectKey(namespace: namespace, name: name),
                        .merge(["data": ["tls.crt": "eA==", "configuration.json": "eA=="]])
                    )
                }
                try await client.delete(
                    Core.Secret.self,
                    ObjectKey(namespace: namespace, name: ChildName.configurationSecret)
                )
                try await cluster.withController(in: names[2]) {
                    _ = try await lost(site)
                    _ = try await whenQuiet { try await cluster.versions([namespace, guest]) }
                    let after = try await client.get(Core.Service.self, exposed)
                    #expect(after.metadata.uid == before.metadata.uid)
                    #expect(after.spec.clusterIP == before.spec.clusterIP)
                }
            }
        }

        @Test("K15: without a garbage collector a Site made anew has its names all the same")
        func leftovers() async throws {
            try await cluster.withNamespaces(["left", "lease"]) { names in
                try await cluster.withController(in: names[1]) {
                    let first = try await cluster.makeSite(in: names[0])
                    let old = try await eventually("a configuration") {
                        try await cluster.document(names[0])
                    }
                    try await client.delete(Site.self, first.key)
                    let second = try await cluster.makeSite(in: names[0])
                    let deployment = try await eventually(
                        "it is the new one's",
                        within: .seconds(30)
                    ) {
                        let found = try await client.find(
                            Apps.Deployment.self,
                            ObjectKey(namespace: names[0], name: ChildName.proxy)
                        )
                        return found?.metadata.controller?.uid == second.metadata.uid ? found : nil
                    }
                    #expect(deployment.metadata.ownerReferences.count == 1)
                    let site = try await eventually("nothing is waited for") {
                        let found = try await client.get(Site.self, second.key)
                        return condition(found, .programmed)?.reason == "ProxiesNotReady"
                            ? found : nil
                    }
                    // The identity has no owner: the site is the same for others.
                    #expect(site.status.siteID == old.configuration.site.id)
                }
            }
        }

        @Test("K15: what --cascade=orphan left is adopted")
        func orphans() async throws {
            try await cluster.withNamespaces(["orphan", "lease"]) { names in
                let first = try await cluster.makeSite(in: names[0])
                let gateways = ObjectKey(namespace: names[0], name: ChildName.proxy)
                try await cluster.withController(in: names[1]) {
                    _ = try await eventually("gateways") {
                        try await client.find(Apps.Deployment.self, gateways)
                    }
                }
                let old = try await client.get(Apps.Deployment.self, gateways)
                try await client.delete(Site.self, first.key)
                func orphan<Object: KubernetesObject>(_ type: Object.Type) async throws {
                    let all = try await client.listAll(type, in: Scope(namespace: names[0]))
                    for object in all where object.metadata.controller?.uid == first.metadata.uid {
                        _ = try await client.patch(
                            type,
                            object.key,
                            .merge(["metadata": ["ownerReferences": nil]])
                        )
                    }
                }
                try await orphan(Core.Secret.self)
                try await orphan(Core.Service.self)
                try await orphan(Core.ServiceAccount.self)
                try await orphan(RBAC.RoleBinding.self)
                try await orphan(Apps.Deployment.self)
                let second = try await cluster.makeSite(in: names[0])
                try await cluster.withController(in: names[1]) {
                    let adopted = try await eventually("the gateways are adopted") {
                        let found = try await client.get(Apps.Deployment.self, gateways)
                        return found.metadata.controller?.uid == second.metadata.uid ? found : nil
                    }
                    #expect(adopted.metadata.uid == old.metadata.uid)
                    #expect(adopted.metadata.generation == old.metadata.generation)
                    let site = try await eventually("there is no conflict") {
                        let found = try await client.get(Site.self, second.key)
                        return condition(found, .programmed)?.reason == "ProxiesNotReady"
                            ? found : nil
                    }
                    #expect(site.status.siteID != nil)
                    #expect(try await cluster.events(names[0], .conflict).isEmpty)
                }
            }
        }
    }
}

extension Core.Secret {
    fileprivate var base64: [String: JSONValue] {
        data.mapValues { .string($0.base64EncodedString()) }
    }
}
