/// Why a target stopped, or started again, to be used.
package enum FailoverReason: String, Hashable, Sendable, CaseIterable {
    /// A connect was refused or reset by every endpoint.
    case connectRefused = "ConnectRefused"
    /// A connect was not answered within `timeouts.connect`.
    case connectTimeout = "ConnectTimeout"
    /// The target advertises no ready endpoint any more.
    case noEndpoints = "NoEndpoints"
    /// Fewer endpoints are ready than `balancing.minReadyEndpoints` asks for.
    case tooFewEndpoints = "TooFewEndpoints"
    /// No path leads to the target any more: a link was lost.
    case linkLost = "LinkLost"
    /// The proxies of the target's site are gone, though its neighbors are there.
    case siteLost = "SiteLost"
    /// The target announced that it drains.
    case draining = "Draining"
    /// The target's site does not let clients of this site use the service.
    case notAllowed = "NotAllowed"
    /// The old target first wins again.
    case failback = "Failback"
    /// A reason that only a later version knows.
    case other = "Other"

    /// Reads what another proxy wrote, which may be of a later version; nil for an empty text.
    package init?(written text: String) {
        guard !text.isEmpty else { return nil }
        self = Self(rawValue: text) ?? .other
    }

    /// What failed.
    ///
    /// Proxies that see the same fault may name it differently: where a server was killed, one had its connect refused, and
    /// another heard first that no endpoint is left.
    package enum Cause: Hashable, Sendable { case servers, path, draining, failback, other }

    package var cause: Cause {
        switch self {
        case .connectRefused, .connectTimeout, .noEndpoints, .tooFewEndpoints,
            .notAllowed:
            .servers
        case .linkLost, .siteLost: .path
        case .draining: .draining
        case .failback: .failback
        case .other: .other
        }
    }
}

/// One failover or failback of one service, as the proxy that saw it wrote it down.
///
/// Made when a target that held connections, or would have won the pick, stops being usable and the first later
/// pick wins elsewhere. `to` is that first winner.
package struct FailoverRecord: Hashable, Sendable {
    /// Counts the records of one proxy instance, from 1.
    package let sequence: UInt64
    package let service: ServicePort
    package let from: SiteID
    package let to: SiteID
    package let reason: FailoverReason
    /// When the old target was judged unusable (or, for a failback, first won again).
    package let at: Instant
    /// Open connections that were reset.
    package let lost: UInt32
    /// Open connections that went on over another path.
    package let resumed: UInt32
    /// From the judgment to the first OPENED elsewhere.
    package let duration: Duration

    package init(
        sequence: UInt64,
        service: ServicePort,
        from: SiteID,
        to: SiteID,
        reason: FailoverReason,
        at: Instant,
        lost: UInt32,
        resumed: UInt32,
        duration: Duration
    ) {
        self.sequence = sequence
        self.service = service
        self.from = from
        self.to = to
        self.reason = reason
        self.at = at
        self.lost = lost
        self.resumed = resumed
        self.duration = duration
    }
}
