package import NetworkModel
package import ProxyContract

/// One gateway pod of a site with what it last told of itself.
package struct GatewayView: Equatable, Sendable {
    package var pod: String
    /// The addresses of the pod, one of each family that it has; none until it has one.
    package var addresses: [String]
    package var isReady: Bool
    package var isTerminating: Bool
    /// Nil until the gateway has answered once.
    package var snapshot: ProxySnapshot?
    /// It should answer any moment, for the first time: what it knows is not known to be different.
    package var isAwaited: Bool

    package init(
        pod: String,
        addresses: [String] = [],
        isReady: Bool,
        isTerminating: Bool = false,
        snapshot: ProxySnapshot? = nil,
        isAwaited: Bool = false
    ) {
        self.isAwaited = isAwaited
        self.pod = pod
        self.addresses = addresses
        self.isReady = isReady
        self.isTerminating = isTerminating
        self.snapshot = snapshot
    }

    /// Whether the site's state depends on this gateway: it serves and is not about to leave.
    package var isServing: Bool { isReady && !isTerminating }
}

/// What all proxies of one site observe, put together.
///
/// Gateways see the network, so what they say of links and targets is merged. Counters belong to the proxy that has
/// the clients: each proxy is counted once, also a sidecar that two gateways report.
package struct SiteView: Equatable, Sendable {
    package var gateways: [GatewayView] {
        didSet { self = SiteView(gateways: gateways) }
    }

    /// Every proxy that has clients, each once, in the order of their identities.
    package private(set) var proxies: [ProxyView]

    package init(gateways: [GatewayView] = []) {
        self.gateways = gateways.map { gateway in
            var gateway = gateway
            gateway.snapshot = gateway.snapshot?.ordered
            return gateway
        }
        proxies = Self.merge(self.gateways)
    }

    /// Everything else is made of the gateways.
    package static func == (left: Self, right: Self) -> Bool { left.gateways == right.gateways }

    /// Whether statuses had better stay as they are for a moment: after a start of the controller, or of a gateway.
    package var isSettling: Bool { gateways.contains(where: \.isAwaited) }

    /// The snapshots of the serving gateways; of every gateway while none of them serves.
    package var snapshots: [ProxySnapshot] { Self.snapshots(of: gateways) }

    private static func snapshots(of gateways: [GatewayView]) -> [ProxySnapshot] {
        let serving = gateways.filter(\.isServing).compactMap(\.snapshot)
        return serving.isEmpty ? gateways.compactMap(\.snapshot) : serving
    }

    private static func merge(_ gateways: [GatewayView]) -> [ProxyView] {
        var found: [ProxyID: ProxyView] = [:]
        for snapshot in gateways.compactMap(\.snapshot) {
            found[snapshot.proxy, default: ProxyView(proxy: snapshot.proxy, isSidecar: false)].take(
                appliedGeneration: snapshot.appliedGeneration,
                counters: snapshot.counters,
                failovers: snapshot.failovers
            )
            for sidecar in snapshot.sidecars {
                found[sidecar.proxy, default: ProxyView(proxy: sidecar.proxy, isSidecar: true)]
                    .take(
                        appliedGeneration: sidecar.appliedGeneration,
                        counters: sidecar.counters,
                        failovers: sidecar.failovers
                    )
            }
        }
        return found.values.sorted { $0.proxy < $1.proxy }
    }

    /// Whether every serving gateway works with configuration `generation` or a later one.
    ///
    /// False while no gateway serves, and while one that serves has not answered.
    package func gatewaysApplied(_ generation: UInt64) -> Bool {
        let serving = gateways.filter(\.isServing)
        return !serving.isEmpty
            && serving.allSatisfy { ($0.snapshot?.appliedGeneration ?? 0) >= generation }
    }

    /// As `gatewaysApplied`, and every attached sidecar routes with it too.
    ///
    /// A sidecar that has yet to take up its first table serves nobody: it is not waited for.
    package func allApplied(_ generation: UInt64) -> Bool {
        gatewaysApplied(generation)
            && proxies.allSatisfy { proxy in
                !proxy.isSidecar || proxy.appliedGeneration == 0
                    || proxy.appliedGeneration >= generation
            }
    }
}

/// One proxy that has clients: a gateway, or a sidecar as its gateways report it.
///
/// Reports stay as they came, in order: what is asked of one service costs that service's part.
package struct ProxyView: Equatable, Sendable {
    private struct Report: Equatable, Sendable {
        var counters: [ServiceCounters]
        var failovers: [FailoverSnapshot]
    }

    package let proxy: ProxyID
    package let isSidecar: Bool
    package private(set) var appliedGeneration: UInt64 = 0
    private var reports: [Report] = []

    package init(proxy: ProxyID, isSidecar: Bool) {
        self.proxy = proxy
        self.isSidecar = isSidecar
    }

    /// All that it counted.
    package var counters: [ServiceCounters] { Self.merged(reports.map { $0.counters[...] }) }

    /// What it counted for the ports of one service.
    func counters(of address: ServiceAddress) -> [ServiceCounters] {
        Self.merged(reports.map { $0.counters.part(address, by: \.service) })
    }

    /// The failovers of one service, each once, in their order.
    func failovers(of address: ServiceAddress) -> [FailoverSnapshot] {
        var known: Set<UInt64> = []
        return reports.flatMap(\.failovers)
            .filter { $0.service.address == address && known.insert($0.sequence).inserted }
            .sorted { $0.sequence < $1.sequence }
    }

    fileprivate mutating func take(
        appliedGeneration generation: UInt64,
        counters: [ServiceCounters],
        failovers: [FailoverSnapshot]
    ) {
        appliedGeneration = max(appliedGeneration, generation)
        reports.append(Report(counters: counters, failovers: failovers))
    }

    /// Of several reports of the same port the one that is ahead holds.
    private static func merged(_ reports: [ArraySlice<ServiceCounters>]) -> [ServiceCounters] {
        guard reports.count > 1 else { return reports.first.map(Array.init) ?? [] }
        var ahead: [ServicePort: ServiceCounters] = [:]
        for counter in reports.joined() {
            if let known = ahead[counter.service], known.progress > counter.progress { continue }
            ahead[counter.service] = counter
        }
        return ahead.values.sorted { $0.service < $1.service }
    }
}

extension ServiceCounters {
    /// Never falls during the life of a proxy, so the greater one is the newer.
    fileprivate var progress: UInt64 { opened &+ failed &+ interrupted }
}

extension Array {
    /// The elements of one service address, of a list in the order of its services.
    func part(_ address: ServiceAddress, by key: (Element) -> ServicePort) -> ArraySlice<Element> {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if key(self[middle]).address < address { low = middle + 1 } else { high = middle }
        }
        return self[low...].prefix { key($0).address == address }
    }
}
