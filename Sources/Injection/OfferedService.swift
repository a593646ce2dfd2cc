import KubernetesAPI
package import NetworkAPI
package import NetworkModel

/// A service that clients of a Site may use, under the name and the ports that they use.
package struct OfferedService: Hashable, Sendable {
    package struct Port: Hashable, Sendable {
        package var name: PortName
        package var number: UInt16

        package init(name: PortName, number: UInt16) {
            self.name = name
            self.number = number
        }
    }

    /// The name of the Service, by which annotations choose it.
    package var name: String
    /// The host name: that of the core Service.
    package var host: String
    package var address: ServiceAddress
    package var ports: [Port]

    package init(name: String, host: String, address: ServiceAddress, ports: [Port]) {
        self.name = name
        self.host = host
        self.address = address
        self.ports = ports
    }

    /// Nil when the Site does not listen for it.
    package init?(_ service: Service) {
        guard service.listens, let address = service.address else { return nil }
        self.init(
            name: service.metadata.name,
            host: service.listenServiceName,
            address: address,
            ports: service.spec.ports.map { Port(name: $0.name, number: $0.port) }
        )
    }
}
