import DevnodeCore
import KubernetesAPI
import KubernetesRuntime
import Logging

/// Brings Services and EndpointSlices into the node's rules and into DNS.
///
/// DNS follows at once; the rules follow after the delay with which kube-proxy lags on a real node. Both are made of everything
/// each time: many changes share one making, so that no more than a fifth of a core goes there.
actor ServiceNetwork {
    private let services: Store<Core.Service>
    private let slices: Store<Discovery.EndpointSlice>
    private let namespaces: Store<Core.Namespace>
    private let network: NodeNetwork
    private let tools: Tools
    private let server: DNSServer
    private let delay: Duration
    private let logger: Logger
    private let rules: [ServiceRules]
    private var installed: String?
    private var isScheduled = false
    private var isInstalling = false
    private var zoneIsScheduled = false
    /// How long the next making rests, for what the last one took.
    private var zoneRest = Duration.zero
    private var rulesRest = Duration.zero
    private static let rest = 4

    init(
        services: Store<Core.Service>,
        slices: Store<Discovery.EndpointSlice>,
        namespaces: Store<Core.Namespace>,
        network: NodeNetwork,
        tools: Tools,
        server: DNSServer,
        delay: Duration,
        logger: Logger
    ) {
        self.services = services
        self.slices = slices
        self.namespaces = namespaces
        self.network = network
        rules = network.families.map { ServiceRules(family: $0) }
        self.tools = tools
        self.server = server
        self.delay = delay
        self.logger = logger
    }

    /// Something changed: the stores have it already.
    func changed() {
        if !zoneIsScheduled {
            zoneIsScheduled = true
            Task {
                try? await Task.sleep(for: self.zoneRest)
                self.publishZone()
            }
        }
        if !isScheduled {
            isScheduled = true
            Task {
                try? await Task.sleep(for: max(self.delay, self.rulesRest))
                await self.install()
            }
        }
    }

    private func publishZone() {
        zoneIsScheduled = false
        let took = ContinuousClock().measure {
            server.publish(
                DNSZone(
                    namespaces: namespaces.list().map(\.metadata.name),
                    services: services.list(),
                    slices: slices.list()
                )
            )
        }
        zoneRest = took * Self.rest
    }

    /// Installs the rules for the present state.
    func install() async {
        isScheduled = false
        // One after another, or an older state could come last.
        guard !isInstalling else { return changed() }
        let start = ContinuousClock.now
        defer { rulesRest = (ContinuousClock.now - start) * Self.rest }
        let (services, slices) = (services.list(), slices.list())
        let text = rules.map { $0.render(services: services, slices: slices) }.joined()
        guard text != installed else { return }
        isInstalling = true
        defer { isInstalling = false }
        do {
            try await tools.nft(text, in: network.node)
            installed = text
        } catch {
            logger.error("Service rules not installed: \(error)")
            changed()
        }
    }
}
