import NetworkModel
import Wire

/// The moment of one input, and what has to be done because of it.
struct Turn {
    let now: Instant
    /// Seconds since 1970.
    let wall: Double
    var outputs: [ControlOutput] = []

    /// The time of day of a monotonic instant.
    func time(of instant: Instant) -> Double {
        wall - Double((now - instant).wholeNanoseconds) / 1e9
    }

    mutating func log(_ text: String) { outputs.append(.log(text)) }
    mutating func note(_ text: String) { outputs.append(.note(text)) }
}
