package import NetworkModel

/// Which service ports of other sites somebody here uses: those configured here, and those that an attached sidecar asks for.
///
/// What others advertise beyond them is held and flooded on as it was signed, and costs nothing else.
package struct ServiceInterest: Equatable, Sendable {
    package var services: Set<ServicePort>
    /// Everything that anybody advertises.
    package var includesAll: Bool

    package init(services: Set<ServicePort> = [], includesAll: Bool = false) {
        self.services = services
        self.includesAll = includesAll
    }

    package static let all = ServiceInterest(includesAll: true)

    func includes(_ service: ServicePort) -> Bool { includesAll || services.contains(service) }
}
