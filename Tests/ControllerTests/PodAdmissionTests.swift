import Certificates
import Foundation
import HTTPTransport
import Injection
import KubernetesAPI
import NetworkModel
import NetworkTestSupport
import Synchronization
import Telemetry
import Testing

@testable import Controller

@Suite("Admission of Pods", .timeLimit(.minutes(1)))
struct PodAdmissionTests {
    private let admission = PodAdmission(
        image: "tieline-proxy:1",
        pullPolicy: "Never",
        hasSite: { $0 != "bare" },
        services: { namespace in
            guard namespace == "shop", let address = ServiceAddress("backend"),
                let name = PortName("http")
            else { return [] }
            let port = OfferedService.Port(name: name, number: 80)
            return [
                OfferedService(name: "backend", host: "backend", address: address, ports: [port])
            ]
        }
    )

    private func pod(
        _ labels: [String: JSONValue] = ["tieline.dev/inject": "enabled"],
        annotations: [String: JSONValue]? = nil,
        spec more: [String: JSONValue] = [:]
    ) -> JSONValue {
        var spec = more
        spec["containers"] = [["name": "a", "image": "a"]]
        var metadata: [String: JSONValue] = ["labels": .object(labels), "name": "p"]
        metadata["annotations"] = annotations.map(JSONValue.object)
        return ["metadata": .object(metadata), "spec": .object(spec)]
    }

    private func review(_ pod: JSONValue, in namespace: String = "shop") throws -> [UInt8] {
        let review: JSONValue = [
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": [
                "uid": "u-1", "operation": "CREATE", "namespace": .string(namespace),
                "kind": ["group": "", "version": "v1", "kind": "Pod"], "object": pod,
            ],
        ]
        return Array(try JSONEncoder().encode(review))
    }

    private func response(_ answer: AdminResponse) throws -> JSONValue {
        try #require(try JSONDecoder().decode(JSONValue.self, from: answer.body)["response"])
    }

    private func ask(_ pod: JSONValue, in namespace: String = "shop") throws -> JSONValue {
        try response(
            AdmissionReview.answer(try review(pod, in: namespace), admission.verdict)
        )
    }

    private func patch(_ response: JSONValue) throws -> [JSONValue] {
        let text = try #require(response["patch"]?.string)
        let data = try #require(Data(base64Encoded: text))
        return try JSONDecoder().decode([JSONValue].self, from: data)
    }

    /// RFC 6902, as far as it is used.
    private func apply(_ patch: [JSONValue], to pod: JSONValue) -> JSONValue {
        patch.reduce(pod) { pod, operation in
            let path = (operation["path"]?.string ?? "").split(separator: "/").map(String.init)
            guard operation["op"] == "remove" else {
                return Workload.replacing(pod, path, with: operation["value"] ?? nil)
            }
            var part = pod[path[0]]?.object ?? [:]
            part[path[1]] = nil
            return Workload.replacing(pod, path.prefix(1), with: .object(part))
        }
    }

    @Test("a Pod that asks gets what tieline inject would give it, by a patch of whole members")
    func injects() throws {
        for annotations in [nil, ["a": "b"]] as [[String: JSONValue]?] {
            let pod = pod(annotations: annotations, spec: ["securityContext": ["fsGroup": 1]])
            let answer = try ask(pod)
            #expect(answer["allowed"] == true)
            #expect(answer["uid"] == "u-1")
            #expect(answer["patchType"] == "JSONPatch")
            let injection = PodInjection(
                services: admission.services("shop"),
                settings: SidecarSettings(
                    namespace: "shop",
                    image: "tieline-proxy:1",
                    pullPolicy: "Never"
                )
            )
            let patched = apply(try patch(answer), to: pod)
            #expect(try injection.inject(into: pod).pod == patched)
            // Asked again, as the API server may: nothing more.
            #expect(try ask(patched)["patch"] == nil)
        }
    }

    @Test("a Pod that does not ask, or cannot have a sidecar, stays as it is; why is said")
    func leavesAlone() throws {
        for labels in [[:], ["tieline.dev/inject": "disabled"]] as [[String: JSONValue]] {
            let answer = try ask(pod(labels))
            #expect(answer["patch"] == nil)
            #expect(answer["warnings"] == nil)
        }
        let cases: [(JSONValue, String, String)] = [
            (pod(), "bare", "no Site"), (pod(), "empty", "listens for no service"),
            (pod(spec: ["hostNetwork": true]), "shop", "hostNetwork"),
            (pod(annotations: ["tieline.dev/services": "other"]), "shop", "it listens for backend"),
            (pod(annotations: ["tieline.dev/services": 7]), "none", "listens for no service"),
        ]
        for (pod, namespace, words) in cases {
            let answer = try ask(pod, in: namespace)
            #expect(answer["allowed"] == true)
            #expect(answer["patch"] == nil)
            #expect(answer["warnings"]?[0]?.string?.contains(words) == true)
        }
    }

    @Test("nothing that is asked crashes it, and no Pod is ever refused")
    func hostileReviews() throws {
        let deep = String(repeating: "[", count: 100_000)
        for text in [
            "", "{", "null", "[]", "{\"request\": {}}", "{\"request\": \(deep)", "\u{FFFF}",
        ] {
            #expect(AdmissionReview.answer(Array(text.utf8), admission.verdict).status == 400)
        }
        let whole = try review(pod(spec: ["initContainers": [["name": "x"]]]))
        for length in stride(from: 0, to: whole.count, by: 7) {
            #expect(
                AdmissionReview.answer(Array(whole[..<length]), admission.verdict).status == 400
            )
        }
        // Values of other kinds in every place.
        let text = String(decoding: whole, as: UTF8.self)
        for value in ["7", "null", "\"x\"", "[]", "{}", "[[{}]]", "-1.5e300"] {
            for key in [
                "metadata", "spec", "labels", "containers", "initContainers", "name", "kind",
            ] {
                let changed = text.replacing("\"\(key)\":", with: "\"\(key)\":\(value),\"old\":")
                let answer = AdmissionReview.answer(Array(changed.utf8), admission.verdict)
                if answer.status == 200 { #expect(try response(answer)["allowed"] == true) }
            }
        }
    }

    private func asking(_ pod: JSONValue, phase: String = "Running") throws -> AskingPod {
        var members = pod.object ?? [:]
        members["metadata"] = [
            "name": "p", "namespace": "shop", "uid": "u",
            "labels": pod["metadata"]?["labels"] ?? nil,
            "annotations": pod["metadata"]?["annotations"] ?? [:],
        ]
        members["status"] = ["phase": .string(phase)]
        let data = try JSONEncoder().encode(JSONValue.object(members))
        return try JSONDecoder().decode(AskingPod.self, from: data)
    }

    @Test("a Pod that asked and has none is told of, with the reason")
    func lackIsTold() throws {
        func note(_ pod: AskingPod, isServed: Bool = true) -> String? {
            LackOfSidecar(admission: admission, isServed: isServed).event(of: pod)?.note
        }
        #expect(note(try asking(pod()))?.contains("delete the Pod") == true)
        #expect(note(try asking(pod()), isServed: false)?.contains("injection is off") == true)
        let onNode = try asking(pod(spec: ["hostNetwork": true]))
        #expect(note(onNode)?.contains("hostNetwork") == true)
        #expect(note(try asking(pod(), phase: "Succeeded")) == nil)
        let injected = apply(try patch(try ask(pod())), to: pod())
        #expect(try asking(injected).lacking == nil)
        #expect(note(try asking(injected)) == nil)
    }

    // MARK: Over TLS

    private func withServer(
        _ body: @escaping @Sendable (UInt16, ServingCertificate) async throws -> Void
    ) async throws {
        let certificate = try ServingCertificate.make(names: ["localhost"], now: Date())
        let tls = try ServingTLS(certificate)
        let server = try ReviewServer(
            host: "127.0.0.1",
            port: 0,
            path: "/inject",
            bodyLimit: AdmissionReview.limit,
            channel: { SecureChannel(tls) },
            answer: { [admission] in AdmissionReview.answer($0, admission.verdict) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await server.run() }
            group.addTask { try await body(server.port, certificate) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func post(
        _ body: Data,
        _ port: UInt16,
        _ certificate: ServingCertificate,
        path: String = "/inject"
    ) async throws -> HTTPResponse {
        var request = HTTPRequest(method: "POST", url: "https://localhost:\(port)\(path)")
        request.body = body
        request.connectTo = ("127.0.0.1", Int(port))
        request.proxy = .none
        request.timeout = .seconds(20)
        request.tls.authorities = Data(certificate.authorityPEM.utf8)
        return try await HTTPTransport().send(request)
    }

    @Test("reviews are answered over TLS, small and large; what is too large is refused")
    func overTLS() async throws {
        let small = Data(try review(pod()))
        let text = JSONValue.string(String(repeating: "x", count: 1_400_000))
        let large = Data(try review(pod(annotations: ["a": text])))
        try await withServer { port, certificate in
            for body in [small, large, small] {
                let answer = try await post(body, port, certificate)
                #expect(answer.status == 200)
                #expect(String(decoding: answer.body, as: UTF8.self).contains("JSONPatch"))
            }
            #expect(try await post(small, port, certificate, path: "/other").status == 404)
            let foreign = try ServingCertificate.make(names: ["localhost"], now: Date())
            await #expect(throws: TransportError.self) { try await post(small, port, foreign) }
        }
    }

    @Test("callers that say nothing, garbage or half of a request keep nobody from an answer")
    func slowCallers() async throws {
        let body = Data(try review(pod()))
        try await withServer { port, certificate in
            var callers: [TestSocket] = []
            for number in 0..<300 {
                let caller = try TestSocket.connected(port: port)
                switch number % 3 {
                case 0: break
                case 1: _ = caller.write("GET / HTTP/1.1\r\n\r\n")
                default: _ = caller.write(Data([22, 3, 1, 2, 0, 1, 0]))
                }
                callers.append(caller)
            }
            #expect(try await post(body, port, certificate).status == 200)
            withExtendedLifetime(callers) {}
        }
    }
}
