import ArgumentParser
import FoundationEssentials
import HTTPTransport
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel

/// Which proxy a command asks.
struct AskedProxy: ParsableArguments {
    @OptionGroup var cluster: ClusterOptions

    @Option(help: "Who is asked: gateway, sidecar, or the name of a Pod with either.")
    var from = "gateway"

    @Option(help: "The administration endpoint of a proxy, as HOST:PORT, instead of a cluster.")
    var proxy: String?

    static let explanation = """
        The proxy is asked through the API server, which takes the right to get pods/proxy in the namespace (the roles edit and \
        admin have it); with --proxy it is asked directly, as on a plain site or after kubectl port-forward.
        """

    func validate() throws {
        if proxy != nil, cluster.isGiven || from != "gateway" {
            throw ValidationError(
                "--proxy stands in place of --from and of the options of a cluster"
            )
        }
        if let proxy, proxy.split(separator: ":").last.flatMap({ UInt16($0) }) == nil {
            throw ValidationError(
                "--proxy is HOST:PORT, such as 127.0.0.1:\(ProxyLine.adminPort), not \"\(proxy)\""
            )
        }
    }

    /// Finds the proxy; asks nothing yet.
    func line() async throws -> ProxyLine {
        if let proxy { return .direct(proxy) }
        let (client, namespace) = try cluster.client()
        return .cluster(
            client,
            ObjectKey(namespace: namespace, name: try await pod(client, namespace))
        )
    }

    private func pod(_ client: KubernetesClient, _ namespace: String) async throws -> String {
        guard from == "gateway" || from == "sidecar" else { return from }
        let pods: [Core.Pod] = try await client.listAll(in: Scope(namespace: namespace))
        let asksGateway = from == "gateway"
        let found = pods.filter { pod in
            pod.status.isReady && !pod.metadata.isTerminating
                && (asksGateway ? pod.isGateway : pod.hasSidecar)
        }
        .map(\.metadata.name).sorted()
        guard let first = found.first else {
            throw NotFound(
                "no Pod in namespace \(namespace) is a ready \(from); choose another with -n, or name one with --from"
            )
        }
        return first
    }
}

/// The way to one proxy's administration endpoint.
enum ProxyLine {
    /// By HOST:PORT.
    case direct(String)
    /// Through the API server, to this Pod.
    case cluster(KubernetesClient, ObjectKey)

    static let adminPort = 5673

    /// The address of the Service of this name (with `/PORT` where that was given), where there is one, else what was given.
    func address(of service: String) async throws -> String {
        let parts = service.split(separator: "/", maxSplits: 1)
        let name = String(parts.first ?? "")
        guard case .cluster(let client, let pod) = self, DNSName.isLabel(name) else {
            return service
        }
        let key = ObjectKey(namespace: pod.namespace, name: name)
        guard let address = try await client.find(Service.self, key)?.address else {
            return service
        }
        return parts.count == 2 ? "\(address)/\(parts[1])" : address.text
    }

    /// What the proxy answers; `command` is the command that asks, for advice when it cannot be reached.
    func get<Answer: Decodable>(
        _ type: Answer.Type,
        _ path: String,
        _ query: [Request.QueryItem] = [],
        command: String
    ) async throws -> Answer {
        let answer =
            switch self {
            case .direct(let place): try await Self.ask(place, path, query)
            case .cluster(let client, let pod):
                try await Self.ask(client, pod, path, query, command)
            }
        do {
            return try JSONDecoder().decode(type, from: answer)
        } catch {
            throw NotFound("the proxy's answer does not decode; is it of another version? \(error)")
        }
    }

    private static func ask(
        _ place: String,
        _ path: String,
        _ query: [Request.QueryItem]
    ) async throws -> Data {
        var wanted = Request(method: .get, path: path)
        wanted.query = query
        var request = HTTPRequest(
            method: "GET",
            url: "http://\(place)\(wanted.target)",
            headers: []
        )
        request.timeout = .seconds(30)
        request.proxy = .none
        let response = try await HTTPTransport().send(request)
        guard response.isSuccess else {
            let text = String(decoding: response.body, as: UTF8.self).split(separator: "\n").first
            throw NotFound("\(place) answered \(response.status): \(text ?? "")")
        }
        return response.body
    }

    private static func ask(
        _ client: KubernetesClient,
        _ pod: ObjectKey,
        _ path: String,
        _ query: [Request.QueryItem],
        _ command: String
    ) async throws -> Data {
        let place = ObjectKey(namespace: pod.namespace, name: "\(pod.name):\(adminPort)")
        var request = Request.get(Core.Pod.resource, place, subresource: "proxy")
        request.path += path
        request.query = query
        do {
            return try await client.send(request)
        } catch {
            throw advice(error, pod, command)
        }
    }

    private static func advice(_ error: APIError, _ pod: ObjectKey, _ command: String) -> NotFound {
        let namespace = pod.namespace ?? ""
        return NotFound(
            "\(error); to ask it directly: kubectl port-forward -n \(namespace) \(pod.name) \(adminPort), then "
                + "tieline \(command) --proxy 127.0.0.1:\(adminPort)"
        )
    }
}

extension Core.Pod {
    fileprivate var isGateway: Bool {
        metadata.labels["app.kubernetes.io/name"] == ChildName.proxy
    }

    fileprivate var hasSidecar: Bool {
        spec.volumes.contains { $0.secret?.secretName == ChildName.sidecarSecret }
    }
}
