import ArgumentParser
import FoundationEssentials
import HTTPTransport
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import ProxyContract

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say why connections of a service go where they go.",
        discussion: """
            Asks one proxy for its ranking of the sites that serve the service, by the very function that picks, and for its last \
            picks with what they saw. The next connection goes to the first of the ranking.

            The proxy is asked through the API server, which takes the right to get pods/proxy in the namespace (the roles edit and \
            admin have it); with --proxy it is asked directly, as on a plain site or after kubectl port-forward.

            Examples:
              tieline explain backend -n shop
              tieline explain backend -n shop --from sidecar --decisions 20
              tieline explain backend --proxy 127.0.0.1:5673
            """
    )

    @Argument(
        help: "The name of the Service, or the address of a service, with /PORT for one port alone."
    )
    var service: String

    @OptionGroup var cluster: ClusterOptions

    @Option(help: "Who is asked: gateway, sidecar, or the name of a Pod with either.")
    var from = "gateway"

    @Option(help: "The administration endpoint of a proxy, as HOST:PORT, instead of a cluster.")
    var proxy: String?

    @Option(help: "How many of its last picks are shown, 0 to 100.")
    var decisions = 5

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    func validate() throws {
        if proxy != nil, cluster.isGiven {
            throw ValidationError("--proxy goes with --decisions and --output only")
        }
        guard (0...100).contains(decisions) else {
            throw ValidationError("--decisions is 0...100, not \(decisions)")
        }
    }

    func run() async throws {
        let answer = proxy == nil ? try await askInCluster() : try await askDirectly(proxy ?? "")
        var explanations: ServiceExplanations
        do {
            explanations = try JSONDecoder().decode(ServiceExplanations.self, from: answer)
        } catch {
            throw NotFound("the proxy's answer does not decode; is it of another version? \(error)")
        }
        for index in explanations.items.indices {
            let shown = explanations.items[index].decisions.prefix(decisions)
            explanations.items[index].decisions = Array(shown)
        }
        switch output {
        case .table:
            print(explanations.items.map(\.text).joined(separator: "\n"), terminator: "")
        case .json: print(try Document.json(explanations), terminator: "")
        case .yaml: print(try Document.yaml(explanations), terminator: "")
        }
    }

    // MARK: Asking

    private func askDirectly(_ place: String) async throws -> Data {
        let query = Request.QueryItem(name: "service", value: service)
        var path = Request(method: .get, path: "/v1/explain")
        path.query = [query]
        var request = HTTPRequest(method: "GET", url: "http://\(place)\(path.target)", headers: [])
        request.timeout = .seconds(10)
        request.proxy = .none
        let response = try await HTTPTransport().send(request)
        guard response.isSuccess else { throw refusal(response.status, response.body, place) }
        return response.body
    }

    private func refusal(_ status: Int, _ body: Data, _ place: String) -> NotFound {
        let text = String(decoding: body, as: UTF8.self).split(separator: "\n").first ?? ""
        return NotFound("\(place) answered \(status): \(text)")
    }

    private func askInCluster() async throws -> Data {
        let (client, namespace) = try cluster.client()
        let pod = try await chosenPod(client, namespace)
        var request = Request.get(
            Core.Pod.resource,
            ObjectKey(namespace: namespace, name: "\(pod):\(Self.adminPort)"),
            subresource: "proxy"
        )
        request.path += "/v1/explain"
        request.query = [.init(name: "service", value: try await wanted(client, namespace))]
        do {
            return try await client.send(request)
        } catch {
            throw advice(error, pod: pod, namespace)
        }
    }

    private func advice(_ error: APIError, pod: String, _ namespace: String) -> NotFound {
        NotFound(
            "\(error); to ask it directly: kubectl port-forward -n \(namespace) \(pod) \(Self.adminPort), then "
                + "tieline explain \(service) --proxy 127.0.0.1:\(Self.adminPort)"
        )
    }

    static let adminPort = 5673

    /// The address of the Service of this name, where there is one, else what was given.
    private func wanted(_ client: KubernetesClient, _ namespace: String) async throws -> String {
        let parts = service.split(separator: "/", maxSplits: 1)
        let key = ObjectKey(namespace: namespace, name: String(parts.first ?? ""))
        guard DNSName.isLabel(key.name), let found = try await client.find(Service.self, key),
            let address = found.address
        else { return service }
        return parts.count == 2 ? "\(address)/\(parts[1])" : address.text
    }

    private func chosenPod(_ client: KubernetesClient, _ namespace: String) async throws -> String {
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

extension Core.Pod {
    fileprivate var isGateway: Bool {
        metadata.labels["app.kubernetes.io/name"] == ChildName.proxy
    }

    fileprivate var hasSidecar: Bool {
        spec.volumes.contains { $0.secret?.secretName == ChildName.sidecarSecret }
    }
}
