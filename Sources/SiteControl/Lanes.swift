package import NetworkModel

// What the shell and the pure core say to each other about lanes and listeners.

/// One lane of this process, for its life.
package struct LaneID: Hashable, Comparable, Sendable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }

    package static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// Which of the two ports a lane belongs to.
package enum LanePurpose: Hashable, Sendable {
    /// Between sites: dialed for a Link, or accepted on the link port.
    case link
    /// Within a site: mesh and sidecars.
    case inside
}

/// A port on which lanes of one purpose are accepted.
package struct LanePort: Hashable, Sendable {
    package let purpose: LanePurpose
    package let port: UInt16

    package init(purpose: LanePurpose, port: UInt16) {
        self.purpose = purpose
        self.port = port
    }
}

/// Where clients are awaited.
package struct ListenPlace: Hashable, Sendable {
    /// Nil: every address.
    package let address: IPAddress?
    package let port: UInt16

    package init(address: IPAddress?, port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// The place at which clients of a service port are awaited.
package struct ClientListener: Hashable, Sendable {
    package let service: ServicePort
    package let place: ListenPlace

    package init(service: ServicePort, place: ListenPlace) {
        self.service = service
        self.place = place
    }
}
