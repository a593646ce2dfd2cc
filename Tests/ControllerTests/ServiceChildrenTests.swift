import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

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
        #expect(core.spec.ipFamilyPolicy == "PreferDualStack")
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
        // As any core Service for these pods: of the cluster's first family.
        #expect(core.spec.ipFamilyPolicy == nil)
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
                Samples.gateway("b", addresses: ["10.244.0.9"], ready: false),
                Samples.gateway("a", addresses: ["10.244.0.5"]),
                Samples.gateway("c", addresses: []),
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

    @Test("P3: what is exposed has a slice of each family that the gateways have, and no other")
    func exposedFamilies() throws {
        func families(_ gateways: [GatewayView]) throws -> [String: [[String]]] {
            let children = Exposure.children(
                of: try Samples.service(),
                in: "other",
                configuration: try configuration(listen: true),
                gateways: gateways
            )
            guard case .service(let core)? = children.first else { return [:] }
            #expect(core.spec.ipFamilyPolicy == "PreferDualStack")
            return children.reduce(into: [:]) { found, child in
                guard case .endpointSlice(let slice) = child else { return }
                found[slice.addressType] = slice.endpoints.map(\.addresses)
            }
        }
        let four = Samples.gateway("a", addresses: ["10.244.0.5"])
        let six = Samples.gateway("b", addresses: ["fd00::5"])
        let both = Samples.gateway("c", addresses: ["fd00::6", "10.244.0.6"])
        #expect(try families([four]) == ["IPv4": [["10.244.0.5"]]])
        #expect(try families([six]) == ["IPv6": [["fd00::5"]]])
        #expect(
            try families([four, both])
                == ["IPv4": [["10.244.0.5"], ["10.244.0.6"]], "IPv6": [["fd00::6"]]]
        )
        #expect(try families([Samples.gateway("d", addresses: [])]).isEmpty)
    }

    @Test(
        "without a Site, half a minute from its absence on: nothing waits in a namespace that goes"
    )
    func grace() {
        var now = Samples.start
        let clock = FailureClock<String>()
        func left(_ isTerminating: Bool = false) -> Duration? {
            NoSite.grace(
                absence: clock.failed("shop/backend", at: now),
                isNamespaceTerminating: isTerminating
            )
        }
        #expect(left() == .seconds(30))
        #expect(left(true) == nil)
        now = now + .seconds(29)
        #expect(left() == .seconds(1))
        now = now + .seconds(1)
        #expect(left() == nil)
        // Another Site was there meanwhile: its absence counts anew.
        clock.end("shop/backend")
        #expect(left() == .seconds(30))
    }

    @Test("what waits for a Site keeps its address, and leads to no gateway that is gone")
    func waitingForSite() throws {
        let service = try Samples.service {
            $0.listen = .init(namespaces: LabelSelector(matchLabels: ["team": "a"]))
        }
        let there = ["yes", "no-consent"].flatMap { guest in
            (try? configuration(listen: true)).map {
                Exposure.children(
                    of: service,
                    in: guest,
                    configuration: $0,
                    gateways: [
                        Samples.gateway("a", addresses: ["10.244.0.5"]),
                        Samples.gateway("b", addresses: ["10.244.0.6"]),
                    ]
                )
            } ?? []
        }
        #expect(there.count == 4)
        func waiting(_ service: Service, _ gateways: [GatewayView]) -> (
            stays: [Child], mirrors: [Child]
        ) {
            Exposure.awaitingSite(
                there,
                of: service,
                among: [
                    namespace("yes", ["team": "a", "tieline.dev/allow-from": "shop"]),
                    namespace("no-consent", ["team": "a"]),
                ],
                unreadable: [],
                gateways: gateways
            )
        }
        for (gateways, addresses) in [
            ([Samples.gateway("b", addresses: ["10.244.0.6"])], [["10.244.0.6"]]), ([], []),
        ] {
            let found = waiting(service, gateways)
            #expect(found.stays == Array(there.prefix(2)))
            #expect(found.mirrors.count == 1)
            guard case .endpointSlice(let slice)? = found.mirrors.first,
                case .endpointSlice(let before) = there[1]
            else { continue }
            #expect(slice.endpoints.map(\.addresses) == addresses)
            #expect(slice.ports == before.ports)
            #expect(slice.metadata == before.metadata)
        }
        var going = service
        going.metadata.deletionTimestamp = Samples.now
        #expect(waiting(going, []).stays.isEmpty)
    }

    @Test("a Service without a Site tells what becomes of it in other namespaces")
    func told() throws {
        func message(_ service: Service, stays: Bool) -> String? {
            var facts = ServiceFacts()
            facts.staysExposed = stays
            return ServiceSummary.make(service: service, facts: facts, at: Samples.now)
                .conditions[type: "Ready"]?.message
        }
        let service = try Samples.service {
            $0.listen = .init(namespaces: LabelSelector(matchLabels: ["team": "a"]))
        }
        #expect(
            message(service, stays: true)?.hasSuffix("waits 30 s for a Site, and then goes") == true
        )
        #expect(
            message(service, stays: false)?.hasSuffix("has nothing in other namespaces") == true
        )
        #expect(message(try Samples.service(), stays: false) == NoSite.message)
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
