package import NetworkModel
package import ProxyContract

/// What the compile step makes of a site's objects: the configuration, and what is wrong with which object.
package struct Compilation: Equatable, Sendable {
    package var configuration: SiteConfiguration
    /// In the order of the objects; an object without a finding is used as it is.
    package var findings: [Finding]
    /// The listeners' ports, for the next compilation (`Listeners.allocated`).
    package var ports: ListenerPorts

    package func findings(of kind: ObjectKind, _ name: String) -> [Finding] {
        findings.filter { $0.object == FoundObject(kind: kind, name: name) }
    }
}

/// Parts of an earlier configuration whose objects are there and cannot be read now: they stay as they are.
package struct KeptParts: Equatable, Sendable {
    package var links: [LinkConfiguration] = []
    package var services: [ServiceConfiguration] = []

    package init() {}

    /// The parts that `configuration` has for the Links and Services of these names.
    package init(of configuration: SiteConfiguration?, links: [String], services: [String]) {
        self.links = (configuration?.links ?? []).filter { links.contains($0.name.text) }
        self.services = (configuration?.services ?? []).filter { services.contains($0.name) }
    }
}

/// Where the gateways' listeners are.
package enum Listeners: Equatable, Sendable {
    /// In a cluster: ports of the gateway pods, taken from `ListenerPorts`.
    case allocated(ListenerPorts, now: Instant)
    /// A plain site: each service on its own port, on this address (nil: on every one).
    case direct(bind: String?)
}

/// Something that is wrong with an object, with what to do about it.
package struct Finding: Hashable, Sendable {
    package var object: FoundObject
    /// Where in the object, such as `spec.ports[0].targetPort`.
    package var field: String
    /// Which condition it makes False.
    package var condition: ConditionType
    package var reason: Reason
    /// Says what is wrong and what to change.
    package var message: String

    package init(
        object: FoundObject,
        field: String,
        condition: ConditionType = .accepted,
        reason: Reason,
        message: String
    ) {
        self.object = object
        self.field = field
        self.condition = condition
        self.reason = reason
        self.message = message
    }
}

/// Site, Link or Service.
package enum ObjectKind: String, Hashable, Sendable, CaseIterable {
    case site = "Site"
    case link = "Link"
    case service = "Service"
}

/// The object that a finding is about.
package struct FoundObject: Hashable, Sendable, CustomStringConvertible {
    package var kind: ObjectKind
    package var name: String

    package init(kind: ObjectKind, name: String) {
        self.kind = kind
        self.name = name
    }

    package var description: String { "\(kind.rawValue) \(name)" }
}
