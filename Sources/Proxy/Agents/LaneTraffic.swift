import NetworkModel
import SiteControl
import Synchronization
import TLS
import Wire

// What the loops' agents and the control on loop 0 say to each other about lanes, besides inputs and outputs.

/// The control's answer to a candidate that this proxy accepted.
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

    var figures: LaneFigures {
        let roundTrip = roundTripMicroseconds.load(ordering: .relaxed)
        return LaneFigures(
            roundTrip: roundTrip == .max ? nil : roundTrip,
            active: activeStreams.load(ordering: .relaxed),
            opened: openedStreams.load(ordering: .relaxed)
        )
    }
}
