import NetworkModel
import Routing

/// Advertisements that came and wait for their signatures to be verified, one at a time.
struct AdvertisementDesk: Sendable {
    private var arrivals = LSAArrivals()
    /// The one that is being verified.
    private var current: LSAArrival?
    /// How many were not believed.
    private(set) var disbelieved: UInt64 = 0
    /// A neighbor that floods rubbish must not fill the log as well.
    private var nextComplaint = Instant(nanoseconds: 0)
    /// When `next` has to be called.
    private(set) var nextDeadline: Instant?
    private static let complaintInterval: Duration = .seconds(10)

    /// One that finds no room is dropped: it comes again, as it was not acknowledged.
    mutating func append(_ arrival: LSAArrival, at now: Instant) {
        guard arrivals.append(arrival) else { return }
        wake(at: now)
    }

    private mutating func wake(at now: Instant) {
        nextDeadline = current == nil && !arrivals.isEmpty ? now : nil
    }

    /// The one to look at next, if any is due.
    mutating func next(at now: Instant) -> LSAArrival? {
        guard let deadline = nextDeadline, deadline <= now else { return nil }
        let arrival = arrivals.next()
        wake(at: now)
        return arrival
    }

    mutating func verify(_ arrival: LSAArrival) {
        current = arrival
        nextDeadline = nil
    }

    /// The one that was verified, or found wrong.
    mutating func takeCurrent(at now: Instant) -> LSAArrival? {
        defer {
            current = nil
            wake(at: now)
        }
        return current
    }

    /// True when the log may have a line.
    mutating func disbelieve(at now: Instant) -> Bool {
        disbelieved += 1
        guard now >= nextComplaint else { return false }
        nextComplaint = now + Self.complaintInterval
        return true
    }
}
