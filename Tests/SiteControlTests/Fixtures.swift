import NetworkModel
import ProxyContract
import Testing

extension LinkConfiguration {
    init(_ name: String, to site: SiteID, at endpoint: HostAndPort, cost: Int32 = 1) throws {
        self.init(
            name: try #require(LinkName(name)),
            endpoints: [endpoint],
            remoteSite: site,
            cost: try #require(LinkCost(cost)),
            health: .standard
        )
    }
}

extension ServiceConfiguration {
    /// Service `backend`, port `http`, with servers behind EndpointSlices of `backend-pods`.
    static func backend(
        provides: Bool = true,
        listen: ServicePortConfiguration.Listen? = nil
    ) throws -> ServiceConfiguration {
        ServiceConfiguration(
            name: "backend",
            address: try #require(ServiceAddress("backend")),
            ports: [
                ServicePortConfiguration(
                    name: try #require(PortName("http")),
                    port: 8080,
                    targetPort: 8080,
                    listen: listen
                )
            ],
            provider: provides ? .endpointSlices(service: "backend-pods") : nil
        )
    }
}
