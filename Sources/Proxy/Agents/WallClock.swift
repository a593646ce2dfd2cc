import Glibc
import NetworkModel

/// The wall clock, for what leaves the process as a time of day.
enum WallClock {
    /// Seconds since 1970.
    static var now: Double {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The time of day of a monotonic instant.
    static func time(of instant: Instant, at now: Instant) -> Double {
        WallClock.now - Double((now - instant).wholeNanoseconds) / 1e9
    }
}
