import Injection
import KubernetesAPI
import NetworkModel
import Testing

struct PodInjectionTests {
    private let backend = offered("backend", port("http", 8080))
    private let database = offered("db", host: "database", address: "db.shop", port("tcp", 5432))

    @Test func aServiceIsReachedUnderItsOwnNamesAndPorts() throws {
        let pod = try inject(pod(), backend, database).pod
        for host in [
            "database", "database.shop", "database.shop.svc", "database.shop.svc.cluster.local",
        ] {
            let address = try #require(pod.address(of: host))
            #expect(pod.listeners.contains("--listen=db.shop/tcp=\(address):5432"))
        }
        let other = try #require(pod.address(of: "backend"))
        #expect(pod.listeners.contains("--listen=backend/http=\(other):8080"))
        #expect(other != pod.address(of: "database"))
        #expect(other.hasPrefix("127."))
        #expect(pod.address(of: "db") == nil)
    }

    @Test func theSidecarStartsFirstAndIsOneForKubernetes() throws {
        let before = pod(["initContainers": [["name": "migrate", "image": "m"]]])
        let pod = try inject(before, backend).pod
        #expect(pod.initContainers.map { $0["name"]?.string } == ["tieline", "migrate"])
        #expect(pod.sidecar?["restartPolicy"] == "Always")
        #expect(pod.sidecar?["startupProbe"]?["httpGet"]?["path"] == "/readyz")
        #expect(pod.sidecar?["readinessProbe"] == nil)
        #expect(
            pod.sidecar?["args"]?.array?.contains("--gateways=tieline-proxy.shop.svc:5672") == true
        )
    }

    /// Pod Security Standards, `restricted`.
    @Test func itAsksForNoRights() throws {
        let security = try #require(try inject(pod(), backend).pod.sidecar?["securityContext"])
        #expect(security["allowPrivilegeEscalation"] == false)
        #expect(security["runAsNonRoot"] == true)
        #expect(security["readOnlyRootFilesystem"] == true)
        #expect(security["capabilities"] == ["drop": ["ALL"]])
        #expect(security["seccompProfile"] == ["type": "RuntimeDefault"])
        #expect(security["runAsUser"] == nil)
    }

    @Test func besideAWorkloadThatIsRootItIsNot() throws {
        let pod = try inject(pod(["securityContext": ["runAsUser": 0]]), backend).pod
        #expect(pod.sidecar?["securityContext"]?["runAsUser"] == 65532)
        #expect(pod["spec"]?["securityContext"] == ["runAsUser": 0])
    }

    @Test func whatIsNotKnownStaysAsItIs() throws {
        let before = pod([
            "somethingNew": [1, "two", nil, ["three": 3.5]], "volumes": [["name": "own"]],
            "hostAliases": [["ip": "10.0.0.1", "hostnames": ["legacy"]]],
        ])
        let after = try inject(before, backend).pod
        #expect(after["spec"]?["containers"] == before["spec"]?["containers"])
        #expect(after["spec"]?["somethingNew"] == before["spec"]?["somethingNew"])
        #expect(after["spec"]?["volumes"]?[0] == ["name": "own"])
        #expect(after.aliases.first == ["ip": "10.0.0.1", "hostnames": ["legacy"]])
        #expect(after["spec"]?["securityContext"] == nil)
    }

    @Test func doingItAgainGivesTheSame() throws {
        let low = offered("web", port("http", 80))
        let before = pod(["securityContext": ["fsGroup": 7], "volumes": [["name": "own"]]])
        let once = try inject(before, backend, low).pod
        #expect(try inject(once, backend, low).pod == once)
        #expect(try inject(once, low, backend).pod == once)
    }

    @Test func otherServicesTakeThePlaceOfTheEarlierOnes() throws {
        let low = offered("web", port("http", 80))
        let before = pod(["securityContext": ["fsGroup": 7]])
        let changed = try inject(try inject(before, low, backend).pod, database).pod
        #expect(changed == (try inject(before, database).pod))
        let newer = SidecarSettings(namespace: "shop", image: "tieline-proxy:2")
        let renewed = try inject(changed, database, settings: newer).pod
        #expect(renewed.sidecar?["image"] == "tieline-proxy:2")
        #expect(renewed.initContainers.count == 1)
    }

    @Test func portsBelow1024NeedASettingOfThePodAndNoRight() throws {
        let web = offered("web", port("https", 443), port("http", 80))
        let pod = try inject(pod(), web, backend).pod
        let setting: JSONValue = ["name": "net.ipv4.ip_unprivileged_port_start", "value": "80"]
        #expect(pod["spec"]?["securityContext"]?["sysctls"] == [setting])
        let own = Self.sysctl("0")
        #expect(
            try inject(own, web).pod["spec"]?["securityContext"] == own["spec"]?["securityContext"]
        )
        #expect(refusal(Self.sysctl("100"), web)?.contains("set it to 80 or less") == true)
        #expect(refusal(Self.sysctl("?"), web)?.contains("set it to 80 or less") == true)
    }

    private static func sysctl(_ value: String) -> JSONValue {
        pod([
            "securityContext": [
                "sysctls": [
                    ["name": "net.ipv4.ip_unprivileged_port_start", "value": .string(value)]
                ]
            ]
        ])
    }

    /// A server on every address and a listener on the loopback network cannot share a port.
    @Test func aServiceOnAPortThatTheWorkloadServesIsLeftToTheGateways() throws {
        let result = try inject(pod(ports: [8080]), backend, database)
        #expect(result.pod.address(of: "backend") == nil)
        #expect(result.pod.listeners.count == 1)
        #expect(result.notes.count == 1)
        #expect(result.notes.first?.contains("port 8080") == true)
        #expect(
            refusal(pod(ports: [8080]), backend)?.contains("listens on port 8080 itself") == true
        )
        let probed = pod([
            "initContainers": [
                ["name": "x", "startupProbe": ["httpGet": ["port": 5432]]]
            ]
        ])
        #expect(try inject(probed, backend, database).pod.address(of: "database") == nil)
    }

    @Test func aNameThatThePodGivesToSomebodyElseIsLeftOut() throws {
        let own = pod(["hostAliases": [["ip": "10.0.0.1", "hostnames": ["database"]]]])
        let result = try inject(own, backend, database)
        #expect(result.pod.address(of: "database") == "10.0.0.1")
        #expect(result.notes.count == 1)
    }

    @Test func twoServicesOfOneNameAreOne() throws {
        let result = try inject(
            pod(),
            backend,
            offered("other", host: "backend", port("http", 8080))
        )
        #expect(result.pod.listeners.count == 1)
        #expect(result.notes.count == 1)
    }

    @Test(
        arguments: [
            (pod(["hostNetwork": true]), "hostNetwork"),
            (pod(["os": ["name": "windows"]]), "Windows"),
            (pod(["nodeSelector": ["kubernetes.io/os": "windows"]]), "Windows"),
            (pod(["dnsPolicy": "Default"]), "ClusterFirst"),
            (pod(["initContainers": [["name": "tieline"]]]), "was not injected"),
            (pod(["volumes": [["name": "tieline-sidecar"]]]), "rename"),
            (pod(["volumes": "none"]), "not a list"),
            (pod(ports: [5673]), "5673"),
            (["metadata": [:]], "not a Pod"),
            ("nothing", "not a Pod"),
        ] as [(JSONValue, String)]
    )
    func someGetNoneAndAreToldWhy(pod: JSONValue, word: String) {
        #expect(refusal(pod, backend)?.contains(word) == true, "\(refusal(pod, backend) ?? "")")
    }

    @Test func withoutAServiceThereIsNothingToDo() {
        #expect(throws: InjectionProblem.self) {
            try PodInjection.services(InjectionWish(pod()), among: [])
        }
    }

    @Test func noTwoServicesOfAPodHaveOneAddress() throws {
        let services = (0..<3000).map { offered("s\($0)", port("tcp", 80)) }
        let pod = try PodInjection(services: services, settings: settings).inject(into: pod()).pod
        let addresses = pod.aliases.compactMap { $0["ip"]?.string }
        #expect(Set(addresses).count == 3000)
        #expect(
            addresses.allSatisfy { address in
                let parts = address.split(separator: ".").compactMap { UInt8($0) }
                return parts.count == 4 && parts[0] == 127 && (1...254).contains(parts[3])
            }
        )
        // The address follows from the name, whatever else is there.
        #expect(
            try inject(.object(["spec": ["containers": [[:]]]]), services[7]).pod.address(of: "s7")
                != nil
        )
    }
}
