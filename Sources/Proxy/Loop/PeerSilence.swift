import NetworkModel

/// Whether the other end of a relayed socket has vanished while it owes an acknowledgment.
///
/// The kernel's own limit (TCP_USER_TIMEOUT) also runs while a reader has paused with its window closed, and ends that
/// connection although every probe is answered. Here only silence counts: several things that were sent and not
/// answered, for long enough. (Probes are up to two minutes apart: the time since the last answer alone says nothing,
/// nor does one that may have been lost.) Connections on which nothing is under way are left to keepalive.
struct PeerSilence {
    /// As long as keepalive takes to give an idle connection up.
    static let limit: Duration = .seconds(30)

    /// When the bytes were written of which some may be unacknowledged; nil when there are none.
    private var since = ShortInstant()

    /// Bytes or a FIN were written.
    mutating func wrote(at now: Instant) {
        if since.instant == nil { since.instant = now }
    }

    /// True when bytes have waited, and nothing was acknowledged, for `limit`.
    mutating func isOver(
        unacknowledged: @autoclosure () -> Int,
        silence: @autoclosure () -> Duration?,
        limit: Duration,
        at now: Instant
    ) -> Bool {
        guard let since = since.instant else { return false }
        guard unacknowledged() > 0 else {
            self.since.instant = nil
            return false
        }
        guard now - since >= limit, let silence = silence() else { return false }
        return silence >= limit
    }
}
