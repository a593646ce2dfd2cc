import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import SiteControl

/// Words of the tests in virtual time.
func proxy(_ site: SiteID, _ instance: UInt64) -> ProxyID {
    ProxyID(site: site, instance: instance)
}

func port(_ text: String) -> ServicePort {
    guard let port = ServicePort(text) else { preconditionFailure("\(text) is no service port") }
    return port
}

func pod(_ number: Int, ready: Bool = true) -> LocalEndpoint {
    LocalEndpoint(
        endpoint: Endpoint(address: .v4(10 << 24 | 1 << 20 | UInt32(number)), port: 80),
        portName: nil,
        ready: ready,
        serving: ready,
        terminating: !ready
    )
}

extension SiteConfiguration {
    static func of(
        _ site: SiteID,
        allow: [SiteID] = [],
        links: [LinkConfiguration] = [],
        services: [ServiceConfiguration] = []
    ) -> SiteConfiguration {
        SiteConfiguration(
            site: SiteName(id: site, name: "site"),
            allow: allow.map { SiteName(id: $0) },
            acceptsLinks: !allow.isEmpty,
            links: links,
            services: services,
            drain: DrainParameters(delay: .zero, grace: .seconds(5))
        )
    }
}

extension ServiceConfiguration {
    /// Service `name`, port `http`, with servers behind EndpointSlices of `name-pods`.
    static func named(
        _ name: String,
        provides: Bool = true,
        listens: UInt16? = nil
    ) throws -> ServiceConfiguration {
        ServiceConfiguration(
            name: name,
            address: try #require(ServiceAddress(name)),
            ports: [
                ServicePortConfiguration(
                    name: try #require(PortName("http")),
                    port: 8080,
                    targetPort: 8080,
                    listen: listens.map { .init(port: $0) }
                )
            ],
            provider: provides ? .endpointSlices(service: "\(name)-pods") : nil
        )
    }
}

extension SimulatedSites {
    mutating func configure(
        _ node: Int,
        _ generation: UInt64,
        _ configuration: SiteConfiguration
    ) {
        let document = ConfigurationDocument(
            generation: generation,
            snapshotKey: "",
            configuration: configuration
        )
        feed(.configuration(document, localAddresses: []), to: node)
    }

    func link(_ name: String, to node: Int, cost: Int32 = 1) throws -> LinkConfiguration {
        try LinkConfiguration(
            name,
            to: nodes[node].id.site,
            at: HostAndPort(host: "\(nodes[node].address)", port: 5671),
            cost: cost
        )
    }

    func gateway(_ node: Int) throws -> GatewayControl {
        try #require(nodes[node].control as? GatewayControl)
    }

    /// What a proxy's last snapshot says of the targets of a service.
    func targets(_ service: ServicePort, at node: Int) -> [SiteID: ServiceSnapshot.State] {
        let shown = nodes[node].snapshot?.services.first { $0.service == service }
        return Dictionary(
            (shown?.targets ?? []).map { ($0.site.id, $0.state) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    /// Everything that every proxy said is what a fresh one says to the same inputs.
    func expectSameWhenReplayed() {
        for node in nodes.indices {
            let options = nodes[node].options
            let fresh: any ProxyControl =
                nodes[node].control is GatewayControl
                ? GatewayControl(options)
                : SidecarControl(options, listeners: listeners[node] ?? [])
            #expect(replay(node, fresh) == nil)
        }
    }
}
