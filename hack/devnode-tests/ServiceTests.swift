import KubernetesAPI
import NetworkModel
import Testing

@testable import DevnodeCore

private func pod(
    _ name: String,
    _ address: String?,
    ready: Bool = true,
    terminating: Bool = false,
    port: Int32 = 8080
) -> Core.Pod {
    Core.Pod {
        $0.metadata = ObjectMeta(name: name, namespace: "shop", labels: ["app": "web"])
        $0.metadata.uid = name
        if terminating { $0.metadata.deletionTimestamp = Timestamp(seconds: 1) }
        $0.spec.containers = [
            Core.Container {
                $0.name = "main"
                $0.ports = [Core.ContainerPort(name: "http", containerPort: port)]
            }
        ]
        $0.status.podIP = address
        $0.status.phase = "Running"
        $0.status.conditions = [
            Core.PodCondition {
                $0.type = "Ready"
                $0.status = ready ? "True" : "False"
            }
        ]
    }
}

private func service(headless: Bool = false, publishAll: Bool? = nil) -> Core.Service {
    Core.Service {
        $0.metadata = ObjectMeta(name: "web", namespace: "shop")
        $0.metadata.uid = "service"
        $0.spec.type = "ClusterIP"
        $0.spec.clusterIP = headless ? "None" : "10.96.1.1"
        $0.spec.selector = ["app": "web"]
        $0.spec.publishNotReadyAddresses = publishAll
        $0.spec.ports = [Core.ServicePort(name: "http", port: 80, targetPort: .string("http"))]
    }
}

@Suite("Endpoint slices")
struct EndpointPlanTests {
    @Test("conditions tell ready, serving and terminating apart")
    func conditions() throws {
        let pods = [
            pod("a", "10.244.0.2"), pod("b", "10.244.0.3", ready: false),
            pod("c", "10.244.0.4", terminating: true), pod("d", nil),
        ]
        let slices = try #require(EndpointPlan.slices(for: service(), pods: pods))
        let slice = try #require(slices.first)
        #expect(slices.count == 1)
        #expect(slice.ports.map(\.port) == [8080])
        #expect(
            slice.endpoints.map(\.addresses) == [["10.244.0.2"], ["10.244.0.3"], ["10.244.0.4"]]
        )
        #expect(slice.endpoints.map(\.conditions.ready) == [true, false, false])
        #expect(slice.endpoints.map(\.conditions.serving) == [true, false, true])
        #expect(slice.endpoints.map(\.conditions.terminating) == [false, false, true])
        #expect(slice.metadata.labels[Discovery.EndpointSlice.serviceNameLabel] == "web")
    }

    @Test("publishNotReadyAddresses makes every address ready")
    func publishAll() throws {
        let slices = try #require(
            EndpointPlan.slices(
                for: service(headless: true, publishAll: true),
                pods: [pod("b", "10.244.0.3", ready: false)]
            )
        )
        #expect(slices.first?.endpoints.first?.conditions.ready == true)
    }

    @Test("pods that give a named port different numbers get slices of their own")
    func namedPorts() throws {
        let pods = [pod("a", "10.244.0.2"), pod("b", "10.244.0.3", port: 9090)]
        let slices = try #require(EndpointPlan.slices(for: service(), pods: pods))
        #expect(slices.map { $0.ports.map(\.port) } == [[8080], [9090]])
        #expect(Set(slices.map(\.metadata.name)).count == 2)
    }

    @Test("a Service of both families has slices of both, with the pods that have an address of it")
    func families() throws {
        var both = pod("a", "10.244.0.2")
        both.status.podIPs = [Core.PodIP("10.244.0.2"), Core.PodIP("fd00:10:244::2")]
        let pods = [both, pod("b", "10.244.0.3")]
        func addresses(_ families: [String]) throws -> [[String]] {
            var service = service()
            service.spec.ipFamilies = families
            let slices = try #require(EndpointPlan.slices(for: service, pods: pods))
            #expect(Set(slices.map(\.metadata.name)).count == slices.count)
            return slices.map { [$0.addressType] + $0.endpoints.flatMap(\.addresses) }
        }
        let four = ["IPv4", "10.244.0.2", "10.244.0.3"]
        let six = ["IPv6", "fd00:10:244::2"]
        #expect(try addresses([]) == [four])
        #expect(try addresses(["IPv6"]) == [six])
        #expect(try addresses(["IPv6", "IPv4"]) == [four, six])
    }

    @Test("a Service without selector is left alone, one without pods has one empty slice")
    func sidecars() throws {
        var manual = service()
        manual.spec.selector = [:]
        #expect(EndpointPlan.slices(for: manual, pods: []) == nil)
        #expect(EndpointPlan.slices(for: service(), pods: [])?.map(\.endpoints) == [[]])
    }
}

@Suite("Service rules")
struct ServiceRulesTests {
    private func slices(_ pods: [Core.Pod]) throws -> [Discovery.EndpointSlice] {
        try #require(EndpointPlan.slices(for: service(), pods: pods))
    }

    @Test("ready endpoints are spread over; the same state gives the same text")
    func spread() throws {
        let slices = try slices([pod("b", "10.244.0.3"), pod("a", "10.244.0.2")])
        let text = ServiceRules().render(services: [service()], slices: slices)
        #expect(
            text.contains(
                "dnat ip to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 }"
            )
        )
        #expect(text.contains("10.96.1.1 . tcp . 80 : goto service-0"))
        #expect(text == ServiceRules().render(services: [service()], slices: slices.reversed()))
    }

    @Test("without a ready endpoint those that still serve are used, and then none")
    func fallback() throws {
        let port = service().spec.ports[0]
        let leaving = try slices([
            pod("a", "10.244.0.2", terminating: true), pod("b", "10.244.0.3", ready: false),
        ])
        #expect(ServiceRules.backends(of: port, slices: leaving) == ["10.244.0.2 . 8080"])
        let none = try slices([pod("b", "10.244.0.3", ready: false)])
        #expect(ServiceRules.backends(of: port, slices: none).isEmpty)
        let text = ServiceRules().render(services: [service()], slices: none)
        #expect(!text.contains("goto service-0"))
    }

    @Test("each family has rules of its own, with its addresses alone")
    func families() throws {
        var both = pod("a", "10.244.0.2")
        both.status.podIPs = [Core.PodIP("10.244.0.2"), Core.PodIP("fd00:10:244::2")]
        var service = service()
        service.spec.ipFamilies = ["IPv4", "IPv6"]
        service.spec.clusterIPs = ["10.96.1.1", "fd00:10:96::1:1"]
        let slices = try #require(EndpointPlan.slices(for: service, pods: [both]))
        let four = ServiceRules().render(services: [service], slices: slices)
        let six = ServiceRules(family: .ipv6).render(services: [service], slices: slices)
        #expect(four.contains("table ip devnode") && !four.contains("fd00"))
        #expect(six.contains("table ip6 devnode") && !six.contains("10.244."))
        #expect(six.contains("dnat ip6 to numgen random mod 1 map { 0 : fd00:10:244::2 . 8080 }"))
        #expect(six.contains("fd00:10:96::1:1 . tcp . 80 : goto service-0"))
        service.spec.clusterIPs = ["10.96.1.1"]
        service.spec.ports[0].nodePort = 30_080
        let none = ServiceRules(family: .ipv6).render(services: [service], slices: slices)
        #expect(!none.contains("service-0") && !none.contains("30080"))
    }

    @Test(
        "node ports and ingress addresses lead to the same place; a node port without endpoints is refused"
    )
    func otherAddresses() throws {
        var service = service()
        service.spec.type = "LoadBalancer"
        service.spec.ports[0].nodePort = 30080
        service.status.loadBalancer.ingress = [Core.LoadBalancerIngress { $0.ip = "172.30.0.1" }]
        let open = ServiceRules().render(
            services: [service],
            slices: try slices([pod("a", "10.244.0.2")])
        )
        #expect(open.contains("172.30.0.1 . tcp . 80 : goto service-0"))
        #expect(open.contains("tcp . 30080 : goto service-0"))
        let closed = ServiceRules().render(services: [service], slices: [])
        #expect(closed.contains("elements = { tcp . 30080 }"))
    }
}
