import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration
import Testing

@testable import Controller

private let settings = ControllerSettings(proxyImage: "tieline-proxy:dev")

@Suite("Children of a Site")
struct SiteChildrenTests {
    private func deployment(_ site: Site) -> Apps.Deployment {
        GatewayDeployment.make(site: site, settings: settings)
    }

    @Test("the gateways meet the restricted pod security standard")
    func restricted() throws {
        let spec = deployment(Samples.site()).spec.template.spec
        let container = try #require(spec.containers.first)
        let security = try #require(container.securityContext)
        #expect(spec.securityContext?.runAsNonRoot == true)
        #expect(security.allowPrivilegeEscalation == false)
        #expect(security.readOnlyRootFilesystem == true)
        #expect(security.capabilities?.drop == ["ALL"])
        #expect(security.seccompProfile?.type == "RuntimeDefault")
        #expect(spec.volumes.compactMap(\.secret?.optional) == [true, true])
        #expect(spec.volumes.last?.emptyDir?.medium == "Memory")
    }

    @Test("a gateway gets the time to drain, rounded up, and five seconds")
    func grace() {
        #expect(deployment(Samples.site()).spec.template.spec.terminationGracePeriodSeconds == 40)
        let site = Samples.site {
            $0.drain = DrainSettings(delay: APIDuration("1500ms"), grace: APIDuration("1m"))
        }
        #expect(deployment(site).spec.template.spec.terminationGracePeriodSeconds == 67)
    }

    @Test("the number of loops is an argument only when it is given")
    func loops() {
        #expect(
            deployment(Samples.site()).spec.template.spec.containers[0].args == [
                "run", "--configuration", "/etc/tieline/configuration", "--credentials",
                "/etc/tieline/credentials", "--state", "/var/lib/tieline",
            ]
        )
        let site = Samples.site { $0.proxy = ProxySettings(replicas: 3, loops: 2) }
        #expect(
            deployment(site).spec.template.spec.containers[0].args.suffix(2) == ["--loops", "2"]
        )
        #expect(deployment(site).spec.replicas == 3)
    }

    @Test("a child carries no label or annotation of the Site, and is owned by it")
    func metadata() {
        var site = Samples.site { $0.linkAccess = LinkAccess(type: .external, hosts: ["h"]) }
        site.metadata.labels = ["argocd.argoproj.io/instance": "x"]
        site.metadata.annotations = ["a": "b"]
        let children = SiteChildren.make(site: site, settings: settings)
        #expect(children.count == 5)
        for child in children {
            let metadata = child.object.metadata
            #expect(metadata.labels["argocd.argoproj.io/instance"] == nil)
            #expect(metadata.annotations.isEmpty)
            #expect(metadata.controller?.uid == site.metadata.uid)
            #expect(metadata.isManaged)
        }
    }

    @Test("no core Service for links without linkAccess")
    func dialsOnly() {
        let names = SiteChildren.make(site: Samples.site(), settings: settings).map(\.key.name)
        #expect(!names.contains("tieline-link"))
    }

    @Test("the addresses advertised are those that exist")
    func endpoints() {
        var service = Core.Service { $0.spec.clusterIP = "10.96.0.9" }
        func find(_ access: LinkAccess?) -> [String] {
            SiteEndpoints.find(site: Samples.site { $0.linkAccess = access }, service: service)
                .endpoints.map { "\($0.host):\($0.port)" }
        }
        #expect(find(nil).isEmpty)
        #expect(find(LinkAccess(type: .clusterIP)) == ["tieline-link.shop.svc:5671"])
        #expect(
            find(LinkAccess(type: .external, port: 443, hosts: ["a", "b"])) == ["a:443", "b:443"]
        )
        #expect(find(LinkAccess(type: .loadBalancer)).isEmpty)
        service.status.loadBalancer.ingress = [
            Core.LoadBalancerIngress { $0.ip = "192.0.2.7" },
            Core.LoadBalancerIngress { $0.hostname = "lb.example.com" },
        ]
        #expect(find(LinkAccess(type: .loadBalancer)) == ["192.0.2.7:5671", "lb.example.com:5671"])
        #expect(find(LinkAccess(type: .nodePort, hosts: ["n1"])).isEmpty)
        service.spec.ports = [Core.ServicePort { $0.nodePort = 30_123 }]
        #expect(find(LinkAccess(type: .nodePort, hosts: ["n1"])) == ["n1:30123"])
        #expect(find(LinkAccess(type: .nodePort)).isEmpty)
    }
}

@Suite("Decisions about a child")
struct ChildDecisionTests {
    private struct Absent: Error {}

    private let site = Samples.site()

    private var wanted: Child {
        .deployment(GatewayDeployment.make(site: site, settings: settings))
    }

    /// What the server would give back: defaults filled in, an identity, a status.
    private func stored() throws -> Apps.Deployment {
        guard case .deployment(var object) = wanted.marked else { throw Absent() }
        object.metadata.uid = "uid-child"
        object.metadata.resourceVersion = "12"
        object.metadata.creationTimestamp = Samples.now
        object.spec.revisionHistoryLimit = 10
        object.spec.template.spec.restartPolicy = "Always"
        object.spec.template.spec.containers[0].readinessProbe?.successThreshold = 1
        object.status.readyReplicas = 2
        return object
    }

    @Test("an absent child is applied without force, by name")
    func absent() {
        #expect(wanted.decide(observed: nil) == .write([.apply(wanted.marked)]))
    }

    @Test("defaults, statuses and what others added are no reason to write")
    func keep() throws {
        var object = try stored()
        #expect(wanted.decide(observed: .deployment(object)) == .keep)
        object.metadata.labels["team"] = "a"
        object.spec.template.spec.containers.insert(Core.Container { $0.name = "extra" }, at: 0)
        #expect(wanted.decide(observed: .deployment(object)) == .keep)
    }

    @Test("an edited child is repaired, and exactly that one")
    func repair() throws {
        var object = try stored()
        object.spec.replicas = 0
        guard case .write(let changes) = wanted.decide(observed: .deployment(object)),
            case .apply(let child) = changes[0]
        else {
            Issue.record("an edit was kept")
            return
        }
        #expect(child.object.metadata.uid == "uid-child")
        #expect(changes.count == 1)
    }

    @Test("a port that somebody added is taken away again")
    func ports() throws {
        guard
            case .service(let service) = SiteChildren.make(site: site, settings: settings)[2]
        else { return }
        guard case .service(var object) = Child.service(service).marked else { return }
        object.metadata.uid = "uid-child"
        #expect(Child.service(service).decide(observed: .service(object)) == .keep)
        object.spec.ports.append(Core.ServicePort(name: "more", port: 99))
        guard
            case .write(let changes) = Child.service(service).decide(observed: .service(object))
        else {
            Issue.record("the added port was kept")
            return
        }
        #expect(
            changes.first
                == .replacePorts(service.key, uid: "uid-child", ports: service.spec.ports)
        )
        object.spec.ports = service.spec.ports
        object.spec.selector["more"] = "x"
        #expect(Child.service(service).decide(observed: .service(object)) != .keep)
    }

    @Test("an object of somebody else is left alone, and named")
    func foreign() throws {
        var object = try stored()
        object.metadata.labels = [:]
        guard case .conflict(let message) = wanted.decide(observed: .deployment(object)) else {
            Issue.record("a foreign object was taken over")
            return
        }
        #expect(message.contains("Deployment tieline-proxy in namespace shop"))
        object = try stored()
        object.metadata.ownerReferences[0].uid = "another"
        object.metadata.ownerReferences[0].name = "older"
        guard case .conflict(let other) = wanted.decide(observed: .deployment(object)) else {
            Issue.record("another owner's object was taken over")
            return
        }
        #expect(other.contains("older"))
    }

    @Test("what is wanted no more is taken out, though all that is wanted is there")
    func removal() throws {
        var before = site
        before.spec.proxy = ProxySettings(
            resources: ComputeResources(limits: ["memory": Quantity("1Gi")])
        )
        guard
            case .deployment(var object) = Child.deployment(
                GatewayDeployment.make(site: before, settings: settings)
            ).marked
        else { return }
        object.metadata.uid = "uid-child"
        object.spec.template.spec.containers[0].args.removeLast()
        object.spec.template.spec.containers[0].args = try stored().spec.template.spec
            .containers[0].args
        guard case .write(let writes) = wanted.decide(observed: .deployment(object)) else {
            Issue.record("a limit that is gone from the Site was kept")
            return
        }
        #expect(
            writes.first
                == .removeResources(
                    object.key,
                    uid: "uid-child",
                    [ContainerResources(container: "proxy", limits: ["memory"])]
                )
        )
        #expect(writes.last == .apply(wanted.marked.pinned(to: "uid-child")))
        // Whoever put it there.
        var edited = try stored()
        edited.spec.template.spec.containers[0].resources.requests["cpu"] = Quantity("1")
        #expect(wanted.decide(observed: .deployment(edited)) != .keep)
        // Another digest alone is reason enough.
        edited = try stored()
        edited.metadata.annotations[Names.appliedAnnotation] = "other"
        #expect(
            wanted.decide(observed: .deployment(edited))
                == .write([.apply(wanted.marked.pinned(to: "uid-child"))])
        )
    }

    @Test("rights that somebody added to our binding, and ports added to our slice, are taken away")
    func lists() throws {
        let binding = SiteChildren.controllerBinding(site: site, settings: settings)
        guard case .roleBinding(var found) = binding.marked.pinned(to: "u") else { return }
        #expect(binding.decide(observed: .roleBinding(found)) == .keep)
        found.subjects.append(found.subjects[0])
        found.subjects[1].name = "intruder"
        #expect(binding.decide(observed: .roleBinding(found)) != .keep)
        let slice = Child.endpointSlice(
            Discovery.EndpointSlice {
                $0.metadata = ObjectMeta(child: "s", of: site)
                $0.ports = [
                    Discovery.EndpointPort {
                        $0.name = "http"; $0.port = 1
                    }
                ]
            }
        )
        guard case .endpointSlice(var other) = slice.marked.pinned(to: "u") else { return }
        #expect(slice.decide(observed: .endpointSlice(other)) == .keep)
        other.ports.append(
            Discovery.EndpointPort {
                $0.name = "more"; $0.port = 2
            }
        )
        #expect(slice.decide(observed: .endpointSlice(other)) != .keep)
    }

    @Test(
        "what an owner of ours left behind is waited for; what one that is there has is a conflict"
    )
    func leaving() throws {
        var object = try stored()
        object.metadata.ownerReferences[0].uid = "earlier"
        let plan = ChildrenPlan(wanted: [wanted], observed: [.deployment(object)]) { _ in false }
        #expect(plan.writes.isEmpty && plan.conflicts.isEmpty && plan.waits.count == 1)
        #expect(
            ChildrenPlan(wanted: [wanted], observed: [.deployment(object)]) { $0 == "earlier" }
                .conflicts.count == 1
        )
        // Owners of other groups are none of our business.
        object.metadata.ownerReferences[0].apiVersion = "apps/v1"
        let other = ChildrenPlan(wanted: [wanted], observed: [.deployment(object)]) { _ in false }
        #expect(other.conflicts.count == 1)
    }

    @Test("a Secret of somebody else is left alone")
    func secrets() {
        let metadata = ObjectMeta(child: "tieline-edge", of: site)
        func ownership(_ change: (inout ObjectMeta) -> Void) -> Ownership {
            var found = metadata
            change(&found)
            return Ownership(of: found, kind: "Secret", wanted: metadata) { $0 == "there" }
        }
        #expect(ownership { _ in } == .ours)
        guard case .foreign(let message) = ownership({ $0.labels = [:] }) else {
            Issue.record("a foreign Secret was taken over")
            return
        }
        #expect(message.contains("the Secret tieline-edge in namespace shop"))
        guard case .foreign = ownership({ $0.ownerReferences = [] }),
            case .foreign = ownership({ $0.ownerReferences[0].uid = "there" }),
            case .leaving = ownership({ $0.ownerReferences[0].uid = "gone" }),
            case .leaving = ownership({ $0.deletionTimestamp = Samples.now })
        else {
            Issue.record("an owner was mistaken")
            return
        }
    }

    @Test("amounts are compared as amounts, selectors as a whole")
    func comparison() {
        #expect(
            JSONComparison.contains(
                ["limits": ["cpu": "1", "memory": "1Gi"]],
                ["limits": ["cpu": "1000m"]]
            )
        )
        #expect(!JSONComparison.contains(["version": "1"], ["version": "1000m"]))
        #expect(!JSONComparison.contains(["limits": ["a": "x1"]], ["limits": ["a": "y2"]]))
        #expect(JSONComparison.contains(["limits": ["a": "1e3"]], ["limits": ["a": "1k"]]))
        #expect(
            !JSONComparison.contains(["selector": ["a": "b", "c": "d"]], ["selector": ["a": "b"]])
        )
        #expect(JSONComparison.contains(["labels": ["a": "b", "c": "d"]], ["labels": ["a": "b"]]))
        #expect(!JSONComparison.contains(["args": ["a", "b"]], ["args": ["a"]]))
    }
}

@Suite("Identity and configuration")
struct SecretPlanTests {
    private let site = Samples.site()
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    @Test("the identity has no owner, so it outlives the Site")
    func authority() throws {
        let secret = try IdentityPlan.newAuthority(site: site, now: start)
        #expect(secret.metadata.ownerReferences.isEmpty)
        #expect(secret.metadata.name == "tieline-site-ca")
        let authority = try IdentityPlan.authority(secret, now: start)
        #expect(authority.siteID.text.count == 26)
    }

    @Test("a leaf is kept until two thirds of its life, then renewed; another CA's is replaced")
    func leaf() throws {
        let authority = try SiteAuthority.make(now: start)
        func plan(_ existing: Core.Secret?, _ authority: SiteAuthority, days: Double) throws
            -> SecretWrite?
        {
            try IdentityPlan.leaf(
                role: .gateway,
                existing: existing,
                authority: authority,
                site: site,
                now: start + days * 86_400
            )
        }
        let first = try #require(try plan(nil, authority, days: 0))
        #expect(first.mode == .create)
        #expect(first.secret.metadata.controller?.uid == site.metadata.uid)
        var stored = first.secret
        stored.metadata.uid = "uid-leaf"
        #expect(try plan(stored, authority, days: 4) == nil)
        let second = try #require(try plan(stored, authority, days: 4.7))
        #expect(second.mode == .apply)
        #expect(second.secret.metadata.uid == "uid-leaf")
        #expect(second.secret.data["tls.key"] != stored.data["tls.key"])
        #expect(try plan(stored, SiteAuthority.make(now: start), days: 0)?.mode == .apply)
    }

    @Test("the configuration is written only when it differs; then the generation grows by one")
    func configuration() throws {
        var configuration = SiteConfiguration(
            site: SiteName(id: try Samples.siteID("A"), name: "east")
        )
        let first = try ConfigurationPlan.plan(
            configuration: configuration,
            existing: nil,
            site: site,
            lastGeneration: 0,
            newKey: "k1"
        )
        #expect(first.document.generation == 1)
        var stored = try #require(first.write).secret
        stored.metadata.uid = "uid-c"
        stored.metadata.resourceVersion = "44"
        func next(_ last: UInt64 = 0) throws -> (
            write: SecretWrite?, document: ConfigurationDocument
        ) {
            try ConfigurationPlan.plan(
                configuration: configuration,
                existing: stored,
                site: site,
                lastGeneration: last,
                newKey: "k2"
            )
        }
        #expect(try next().write == nil)
        configuration.acceptsLinks = true
        let second = try next()
        #expect(second.document.generation == 2)
        #expect(second.document.snapshotKey == "k1")
        #expect(second.write?.secret.metadata.resourceVersion == "44")
        #expect(second.write?.mode == .apply)
        #expect(try next(9).document.generation == 10)
    }

    @Test("a Secret that was deleted begins again above what the gateways have")
    func deleted() throws {
        let plan = try ConfigurationPlan.plan(
            configuration: SiteConfiguration(site: SiteName(id: try Samples.siteID("A"))),
            existing: nil,
            site: site,
            lastGeneration: 41,
            newKey: "k"
        )
        #expect(plan.document.generation == 42)
        #expect(plan.write?.mode == .create)
    }
}

@Suite("Children of a Service")
struct ServiceChildrenTests {
    private func configuration(listen: Bool) throws -> ServiceConfiguration {
        ServiceConfiguration(
            name: "backend",
            address: try Samples.port().address,
            ports: [
                ServicePortConfiguration(
                    name: try #require(PortName("http")),
                    port: 8080,
                    targetPort: 8080,
                    listen: listen ? .init(port: 10_004) : nil
                )
            ]
        )
    }

    private func namespace(_ name: String, _ labels: [String: String]) -> Core.Namespace {
        Core.Namespace { $0.metadata = ObjectMeta(name: name, labels: labels) }
    }

    @Test("a listening core Service leads to the allocated port of the gateways")
    func listening() throws {
        let service = try Samples.service { $0.listen = .init(serviceName: "front") }
        let children = ServiceChildren.make(
            service: service,
            site: Samples.site(),
            configuration: try configuration(listen: true)
        )
        guard case .service(let core) = try #require(children.first) else { return }
        #expect(core.metadata.name == "front")
        #expect(core.spec.ports.first?.port == 8080)
        #expect(core.spec.ports.first?.targetPort == .int(10_004))
        #expect(core.spec.selector["tieline.dev/site"] == "east")
    }

    @Test("a selector becomes a headless core Service with exactly that selector")
    func headless() throws {
        let service = try Samples.service { $0.selector = ["app": "backend"] }
        let children = ServiceChildren.make(
            service: service,
            site: Samples.site(),
            configuration: try configuration(listen: false)
        )
        #expect(children.count == 1)
        guard case .service(let core) = children[0] else { return }
        #expect(core.spec.isHeadless)
        #expect(core.spec.selector == ["app": "backend"])
        #expect(core.metadata.name.hasPrefix("backend-tl-"))
    }

    @Test("a Service that is not part of the configuration has no children")
    func none() throws {
        let service = try Samples.service { $0.selector = ["app": "backend"] }
        #expect(
            ServiceChildren.make(service: service, site: Samples.site(), configuration: nil).isEmpty
        )
    }

    @Test("a namespace gets the core Service when both it and the Service say so")
    func consent() throws {
        let service = try Samples.service {
            $0.listen = .init(namespaces: LabelSelector(matchLabels: ["team": "a"]))
        }
        let allow = ["team": "a", "tieline.dev/allow-from": "shop"]
        var going = namespace("going", allow)
        going.metadata.deletionTimestamp = Samples.now
        let found = Exposure.namespaces(
            of: service,
            among: [
                namespace("yes", allow), namespace("no-consent", ["team": "a"]),
                namespace("other", ["team": "a", "tieline.dev/allow-from": "other"]),
                namespace("unselected", ["tieline.dev/allow-from": "shop"]), going,
                namespace("shop", allow),
            ]
        )
        #expect(found == ["yes"])
        #expect(
            Exposure.namespaces(of: try Samples.service(), among: [namespace("yes", allow)]).isEmpty
        )
    }

    @Test("what is exposed has no selector, no owner, and the gateways as mirrored endpoints")
    func exposed() throws {
        let service = try Samples.service()
        let children = Exposure.children(
            of: service,
            in: "other",
            configuration: try configuration(listen: true),
            gateways: [
                Samples.gateway("b", address: "10.244.0.9", ready: false),
                Samples.gateway("a", address: "10.244.0.5"), Samples.gateway("c", address: nil),
            ]
        )
        #expect(children.count == 2)
        guard case .service(let core) = children[0], case .endpointSlice(let slice) = children[1]
        else {
            Issue.record("unexpected children")
            return
        }
        #expect(core.spec.selector.isEmpty)
        #expect(core.metadata.ownerReferences.isEmpty)
        #expect(core.metadata.labels["tieline.dev/owner-uid"] == "uid-backend")
        #expect(core.metadata.annotations["tieline.dev/owner"] == "shop/backend")
        #expect(slice.metadata.labels["kubernetes.io/service-name"] == "backend")
        #expect(slice.endpoints.map(\.addresses) == [["10.244.0.5"], ["10.244.0.9"]])
        #expect(slice.endpoints.map(\.conditions.isReady) == [true, false])
        #expect(slice.ports.first?.port == 10_004)
    }

    @Test("what is ours and not wanted any more is deleted, by UID; what goes already is left")
    func prune() throws {
        let service = try Samples.service()
        let old = Child.service(
            Core.Service {
                $0.metadata = ObjectMeta(child: "old", of: service)
                $0.metadata.uid = "uid-old"
            }
        )
        let going = Child.service(
            Core.Service {
                $0.metadata = ObjectMeta(child: "going", of: service)
                $0.metadata.uid = "uid-going"
                $0.metadata.deletionTimestamp = Samples.now
            }
        )
        var plan = ChildrenPlan()
        plan.prune([old, going], wanted: [])
        #expect(plan.writes == [.delete(Core.Service.resource, old.key, uid: "uid-old")])
    }
}
