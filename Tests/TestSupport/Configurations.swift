package import NetworkModel
package import ProxyContract

/// What no text of a test may be.
private struct NotAName: Error, CustomStringConvertible {
    let description: String
}

private func named<Name>(_ name: Name?, _ text: String) throws -> Name {
    guard let name else { throw NotAName(description: text) }
    return name
}

extension LinkConfiguration {
    package init(
        _ name: String,
        to site: SiteID,
        at endpoint: HostAndPort,
        cost: Int32 = 1,
        health: HealthParameters = .standard
    ) throws {
        self.init(
            name: try named(LinkName(name), name),
            endpoints: [endpoint],
            remoteSite: site,
            cost: try named(LinkCost(cost), "cost \(cost)"),
            health: health
        )
    }
}

extension ServiceConfiguration {
    /// Service `backend`, port `http`, with servers behind EndpointSlices of `backend-pods`.
    package static func backend(
        provides: Bool = true,
        listen: ServicePortConfiguration.Listen? = nil
    ) throws -> ServiceConfiguration {
        ServiceConfiguration(
            name: "backend",
            address: try named(ServiceAddress("backend"), "backend"),
            ports: [
                ServicePortConfiguration(
                    name: try named(PortName("http"), "http"),
                    port: 8080,
                    targetPort: 8080,
                    listen: listen
                )
            ],
            provider: provides ? .endpointSlices(service: "backend-pods") : nil
        )
    }
}
