import NetworkModel
import SiteControl
import Synchronization
import TLS
import Wire

// What the loops' agents and the control plane on loop 0 say to each other about lanes. All of it crosses threads by
// mailbox, so all of it is Sendable.

/// An order to dial one lane.
struct DialOrder: Sendable {
    let id: LaneID
    let purpose: LanePurpose
    let endpoint: Endpoint
    let parameters: Lane.Parameters
    let hello: Hello
}

/// A lane whose neighbor has said HELLO.
struct LaneCandidate: Sendable {
    let id: LaneID
    /// Where the lane lives now.
    let loop: Int
    let purpose: LanePurpose
    let side: Lane.Side
    let remote: Endpoint
    let identity: NeighborIdentity
    let hello: Hello
    let gauge: LaneGauge
}

/// The control plane's answer to a candidate that this proxy accepted.
enum LaneAdmission: Sendable {
    case refused(LaneClosing)
    /// Greet it with this HELLO, on this loop.
    case admitted(loop: Int, Hello)
}

/// Figures of one lane, written by its loop, read by everyone.
final class LaneGauge: Sendable {
    private let roundTripMicroseconds = Atomic<UInt64>(.max)
    private let activeStreams = Atomic<UInt64>(0)
    private let openedStreams = Atomic<UInt64>(0)

    func update(roundTrip: Duration?, active: UInt64, opened: UInt64) {
        if let roundTrip {
            let microseconds = UInt64(clamping: roundTrip.wholeNanoseconds / 1_000)
            roundTripMicroseconds.store(microseconds, ordering: .relaxed)
        }
        activeStreams.store(active, ordering: .relaxed)
        openedStreams.store(opened, ordering: .relaxed)
    }

    /// Nil before the first measurement.
    var roundTrip: UInt64? {
        let value = roundTripMicroseconds.load(ordering: .relaxed)
        return value == .max ? nil : value
    }

    var active: UInt64 { activeStreams.load(ordering: .relaxed) }
    var opened: UInt64 { openedStreams.load(ordering: .relaxed) }
}
