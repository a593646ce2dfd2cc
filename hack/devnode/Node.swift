import DevnodeCore
import FoundationEssentials
import Glibc
import HTTPTransport
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkModel
import Telemetry

/// All parts of a node, put together.
struct Node: Sendable {
    private let options: NodeOptions
    private let client: KubernetesClient
    private let logger: Logger
    private let processes = ProcessTable()
    private let runtime: Runtime
    private let tools: Tools
    private let network: NodeNetwork
    private let server = DNSServer()
    private let informers: Informers

    init(options: NodeOptions, client: KubernetesClient, logger: Logger) async throws {
        self.options = options
        self.client = client
        self.logger = logger
        // The mount namespace is devnode's own: nothing of this is seen outside.
        try SystemError.checkErrno(
            unsafe mount("tmpfs", "/run", "tmpfs", UInt(MS_NOSUID | MS_NODEV), "mode=755"),
            "mount /run"
        )
        try Files.makeDirectory(options.work)
        try Files.makeDirectory(options.state + "/pods")
        runtime = try Runtime(processes: processes, options: options)
        tools = try Tools(processes: processes, directory: options.work + "/tools")
        processes.start()
        network = try await NodeNetwork(families: options.families, tools: tools)
        informers = Informers(client: client, logger: logger)
    }

    func run() async throws {
        try anchor()
        let first = options.families.first
        try await server.start(on: first.dnsAddress, in: network.node)
        guard let port = client.configuration.port else {
            throw ConfigurationError("no port in \(client.configuration.server)")
        }
        try await APIForwarder(port: port).start(on: first.apiAddress, in: network.node)
        let controllers = Controllers(informers: informers, client: client, logger: logger)
        let kubelet = Kubelet(
            context: PodContext(
                options: options,
                processes: processes,
                runtime: runtime,
                network: network,
                prober: Prober(node: network.node),
                references: informers.references,
                client: client,
                logger: logger
            )
        )
        let services = ServiceNetwork(
            services: informers.services.store,
            slices: informers.slices.store,
            namespaces: informers.namespaces.store,
            network: network,
            tools: tools,
            server: server,
            delay: options.proxyDelay,
            logger: logger
        )
        controllers.connect()
        await withDiscardingTaskGroup { group in
            group.addTask { await informers.run() }
            group.addTask { await controllers.run(authority: authority) }
            group.addTask { await GarbageCollector(client: client, logger: logger).run() }
            group.addTask { await informers.feed(kubelet) }
            group.addTask { await informers.feed(services) }
            group.addTask { await register(services) }
        }
    }

    /// A child that never ends: whoever waits for children always has one to wait for.
    private func anchor() throws {
        let output = try Files.appending("/dev/null")
        defer { close(output) }
        _ = try processes.spawn(
            Command(words: ["sleep", "infinity"], output: output)
        )
    }

    private var authority: String {
        String(decoding: client.configuration.tls.authorities ?? Data(), as: UTF8.self)
    }

    /// Makes the Node object and says that the cluster is ready.
    private func register(_ services: ServiceNetwork) async {
        let node = Core.Node {
            $0.metadata = ObjectMeta(
                name: NodeOptions.nodeName,
                labels: [
                    "kubernetes.io/hostname": NodeOptions.nodeName, "kubernetes.io/os": "linux",
                ]
            )
        }
        var isRegistered = false
        while !isRegistered {
            do throws(APIError) {
                do throws(APIError) {
                    _ = try await client.create(node)
                } catch {
                    guard error.isAlreadyExists else { throw error }
                }
                _ = try await client.patch(
                    Core.Node.self,
                    node.key,
                    .merge(["status": status]),
                    subresource: "status"
                )
                isRegistered = true
            } catch {
                logger.warning("the node is not registered: \(error)")
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        await informers.waitUntilSynced()
        await services.install()
        do {
            try Files.write("\(network.node.descriptor)\n", to: options.state + "/network")
            logger.info("cluster \(options.cluster) is ready")
        } catch {
            logger.error("\(error)")
        }
    }

    private var status: JSONValue {
        let now = JSONValue.string(Timestamp(seconds: Timestamp.now().seconds).description)
        let addresses: [JSONValue] = network.families.map {
            ["type": "InternalIP", "address": .string($0.nodeAddress)]
        }
        return [
            "addresses": .array(
                addresses + [["type": "Hostname", "address": .string(NodeOptions.nodeName)]]
            ),
            "conditions": [
                [
                    "type": "Ready", "status": "True", "reason": "DevnodeReady",
                    "message": "devnode runs", "lastTransitionTime": now, "lastHeartbeatTime": now,
                ]
            ],
            "capacity": ["pods": "1000"],
            "allocatable": ["pods": "1000"],
        ]
    }
}

extension ClientConfiguration {
    /// The port of the API server.
    fileprivate var port: UInt16? {
        server.lastIndex(of: ":").flatMap { UInt16(server[server.index(after: $0)...]) }
    }
}
