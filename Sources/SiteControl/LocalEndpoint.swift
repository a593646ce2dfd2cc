package import NetworkModel

/// One server of this site, from EndpointSlices.
package struct LocalEndpoint: Hashable, Sendable {
    package var endpoint: Endpoint
    /// The name of the slice's port; nil for an unnamed one, which matches every port.
    package var portName: PortName?
    package var ready: Bool
    package var serving: Bool
    package var terminating: Bool

    package init(
        endpoint: Endpoint,
        portName: PortName?,
        ready: Bool,
        serving: Bool,
        terminating: Bool
    ) {
        self.endpoint = endpoint
        self.portName = portName
        self.ready = ready
        self.serving = serving
        self.terminating = terminating
    }
}
