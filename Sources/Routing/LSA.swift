package import NetworkModel

/// What one gateway says about itself: its edges and its services.
///
/// A large advertisement is cut into fragments; each is a whole LSA with its own signature and sequence number, and
/// repeats the origin's header. The fragment numbered 0 always exists; its `fragmentCount` says which others count.
/// Only gateways originate LSAs. Routing takes them verified and never looks at `certificateChain` or a signature.
package struct LSA: Hashable, Sendable {
    package var origin: ProxyID
    /// Increases with every origination of this fragment, from 1; the highest one wins.
    package var sequence: UInt64
    /// When the origin signed it, in seconds since 1970 by its own clock.
    package var issued: Int64
    /// For how many seconds from `issued` it is believed; at most `RoutingLimits.longestLifetime`.
    package var lifetime: UInt32
    /// 0..<fragmentCount.
    package var fragment: UInt16
    package var fragmentCount: UInt16
    /// The origin drains: it is neither a transit hop nor a target any more.
    package var overload: Bool
    /// The name that the origin's site gives itself, for display; at most 253 bytes of UTF-8.
    package var displayName: String
    /// The origin's X25519 public key, 32 bytes.
    package var agreementKey: [UInt8]
    /// DER, leaf first, then the site's CA; what the signature is checked with.
    package var certificateChain: [[UInt8]]
    /// What the origin was before it started again: processes of its own host that have ended for certain.
    ///
    /// Sorted; in fragment 0 only; at most `RoutingLimits.predecessors`, of the origin's own site.
    package var predecessors: [ProxyID]
    /// What the origin's Links cost for single services; sorted, one for each Link and service.
    package var serviceCosts: [LSAServiceCost]
    /// Connections that are open to the origin's servers, from all sites, of the services that report them.
    ///
    /// Sorted, none twice; what has none is left out.
    package var loads: [LSALoad]
    /// Sorted, without duplicates.
    package var edges: [LSAEdge]
    /// Sorted by service, without duplicates.
    package var services: [LSAService]

    package init(
        origin: ProxyID,
        sequence: UInt64,
        issued: Int64,
        lifetime: UInt32 = RoutingLimits.lifetime,
        fragment: UInt16 = 0,
        fragmentCount: UInt16 = 1,
        overload: Bool = false,
        displayName: String = "",
        agreementKey: [UInt8] = [],
        certificateChain: [[UInt8]] = [],
        predecessors: [ProxyID] = [],
        serviceCosts: [LSAServiceCost] = [],
        loads: [LSALoad] = [],
        edges: [LSAEdge] = [],
        services: [LSAService] = []
    ) {
        self.origin = origin
        self.sequence = sequence
        self.issued = issued
        self.lifetime = lifetime
        self.fragment = fragment
        self.fragmentCount = fragmentCount
        self.overload = overload
        self.displayName = displayName
        self.agreementKey = agreementKey
        self.certificateChain = certificateChain
        self.predecessors = predecessors
        self.serviceCosts = serviceCosts
        self.loads = loads
        self.edges = edges
        self.services = services
    }

    package var key: LSAKey { LSAKey(origin: origin, fragment: fragment) }
    package var header: LSAHeader { LSAHeader(key: key, sequence: sequence) }
}

/// One edge from the origin to a neighbor; usable once the neighbor's LSA names it too.
package struct LSAEdge: Hashable, Comparable, Sendable {
    package var neighbor: ProxyID
    package var name: EdgeName
    /// Given by the side that declares the Link, for both directions; nil from the acceptor and on the mesh.
    package var cost: LinkCost?

    package init(neighbor: ProxyID, name: EdgeName, cost: LinkCost?) {
        self.neighbor = neighbor
        self.name = name
        self.cost = cost
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.neighbor == right.neighbor ? left.name < right.name : left.neighbor < right.neighbor
    }
}

/// What one of the origin's Links costs for one service, instead of what it costs for all others; in both directions.
package struct LSAServiceCost: Hashable, Comparable, Sendable {
    package var link: LinkName
    package var service: ServiceAddress
    package var cost: LinkCost

    package init(link: LinkName, service: ServiceAddress, cost: LinkCost) {
        self.link = link
        self.service = service
        self.cost = cost
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.link, left.service) < (right.link, right.service)
    }
}

/// How many connections are open to the origin's servers of one service port, whoever's.
package struct LSALoad: Hashable, Sendable {
    package var service: ServicePort
    /// 1...1,000,000.
    package var open: UInt32

    package init(service: ServicePort, open: UInt32) {
        self.service = service
        self.open = open
    }
}

/// What joins two gateways: a Link, named by the site that dials it, or the mesh of one site's gateways.
package enum EdgeName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Cost 0, within one site only.
    case mesh
    case link(dialer: SiteID, name: LinkName)

    package var description: String {
        switch self {
        case .mesh: "mesh"
        case .link(let dialer, let name): "\(dialer)/\(name)"
        }
    }

    package static func < (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.mesh, .mesh): false
        case (.mesh, .link): true
        case (.link, .mesh): false
        case (.link(let site, let name), .link(let otherSite, let otherName)):
            (site, name) < (otherSite, otherName)
        }
    }
}

/// One service port that the origin can serve, with the exact number of its ready endpoints.
package struct LSAService: Hashable, Sendable {
    package var service: ServicePort
    package var endpoints: UInt32

    package init(service: ServicePort, endpoints: UInt32) {
        self.service = service
        self.endpoints = endpoints
    }
}

/// Which LSA, whatever its age.
package struct LSAKey: Hashable, Comparable, Sendable {
    package var origin: ProxyID
    package var fragment: UInt16

    package init(origin: ProxyID, fragment: UInt16) {
        self.origin = origin
        self.fragment = fragment
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.origin, left.fragment) < (right.origin, right.fragment)
    }
}

/// Which LSA, and how new: what acknowledgments and summaries consist of.
package struct LSAHeader: Hashable, Sendable {
    package var key: LSAKey
    package var sequence: UInt64

    package init(key: LSAKey, sequence: UInt64) {
        self.key = key
        self.sequence = sequence
    }
}

/// An LSA with the bytes that were signed, signature included; flooded on exactly as it came.
package struct SignedLSA: Hashable, Sendable {
    package var lsa: LSA
    package var bytes: [UInt8]

    package init(lsa: LSA, bytes: [UInt8]) {
        self.lsa = lsa
        self.bytes = bytes
    }
}

/// What a proxy holds between two keys, for the database exchange when an adjacency comes up.
///
/// It stands by itself: whoever gets it sends what the sender lacks in that range, and answers with
/// `summaryAcknowledgment` what it wants.
package struct LSASummary: Hashable, Sendable {
    /// Chosen by the sender; comes back in the acknowledgment.
    package var number: UInt32
    /// The range begins above this key; nil: with the first one.
    package var after: LSAKey?
    /// The range ends with this key; nil: with the last one.
    package var through: LSAKey?
    /// Sorted by key; at most `RoutingLimits.headersPerMessage`.
    package var headers: [LSAHeader]

    package init(number: UInt32, after: LSAKey?, through: LSAKey?, headers: [LSAHeader]) {
        self.number = number
        self.after = after
        self.through = through
        self.headers = headers
    }

    package func covers(_ key: LSAKey) -> Bool {
        if let after, key <= after { return false }
        if let through, key > through { return false }
        return true
    }
}
