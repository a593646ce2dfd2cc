package import NetworkModel
package import ProxyContract
package import Wire

// What the shell and the pure core say to each other about lanes and listeners.

/// One lane of this process, for its life: an even number if it was accepted, an odd one if it was dialed.
package struct LaneID: Hashable, Comparable, Sendable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }

    package static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// Which of the two ports a lane belongs to.
package enum LanePurpose: String, Hashable, Sendable {
    /// Between sites: dialed for a Link, or accepted on the link port.
    case link
    /// Within a site: mesh and sidecars.
    case inside
}

/// An order to dial one lane.
package struct DialOrder: Equatable, Sendable {
    package let id: LaneID
    package let loop: Int
    package let purpose: LanePurpose
    package let endpoint: Endpoint
    package let health: HealthParameters
    /// The SiteIDs that are pinned.
    package let expectedSites: Set<SiteID>
    package let hello: Hello
    /// What it proves to hold.
    package var token: TokenConfiguration?
}

/// What a neighbor said of a token before its HELLO.
package struct JudgedClaim: Hashable, Sendable {
    package enum Verdict: String, Sendable {
        /// This site has issued such a token, and the neighbor holds it.
        case proved
        case wrong
        /// Too many claims came: this one was not looked at.
        case unheard
    }

    package let grant: String
    package let verdict: Verdict

    package init(grant: String, verdict: Verdict) {
        self.grant = grant
        self.verdict = verdict
    }
}

/// A lane whose neighbor has said HELLO.
package struct LaneCandidate: Equatable, Sendable {
    package let id: LaneID
    /// Where the lane lives now.
    package let loop: Int
    package let purpose: LanePurpose
    package let remote: Endpoint
    /// What the neighbor's certificate proves.
    package let site: SiteID
    package let role: ProxyRole
    package let hello: Hello
    package let claim: JudgedClaim?

    package init(
        id: LaneID,
        loop: Int,
        purpose: LanePurpose,
        remote: Endpoint,
        site: SiteID,
        role: ProxyRole,
        hello: Hello,
        claim: JudgedClaim? = nil
    ) {
        self.id = id
        self.loop = loop
        self.purpose = purpose
        self.remote = remote
        self.site = site
        self.role = role
        self.hello = hello
        self.claim = claim
    }

    /// Of one that was accepted: it is for bulk, beside that lane of ours.
    var beside: LaneID? { hello.lane.map(LaneID.init(number:)) }
}

/// Figures of one lane at one moment.
package struct LaneFigures: Hashable, Sendable {
    /// Smoothed, in microseconds; nil before the first measurement.
    package var roundTrip: UInt64?
    /// Streams that cross the lane now.
    package var active: UInt64
    /// Streams that ever did.
    package var opened: UInt64

    package init(roundTrip: UInt64? = nil, active: UInt64 = 0, opened: UInt64 = 0) {
        self.roundTrip = roundTrip
        self.active = active
        self.opened = opened
    }
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
