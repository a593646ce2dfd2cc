package import NetworkModel

/// `--listen ADDRESS/PORTNAME=127.0.0.1:PORT` of a sidecar.
package struct SidecarListener: Hashable, Sendable {
    package var service: ServicePort
    package var endpoint: Endpoint

    package init(service: ServicePort, endpoint: Endpoint) {
        self.service = service
        self.endpoint = endpoint
    }
}
