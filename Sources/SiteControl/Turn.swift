import NetworkModel
import Wire

/// The moment of one input, and what has to be done because of it.
struct Turn {
    let now: Instant
    /// The time of day.
    let wall: Timestamp
    var outputs: [ControlOutput] = []

    /// The time of day of a monotonic instant.
    func time(of instant: Instant) -> Timestamp { wall + (instant - now) }

    mutating func log(_ text: String) { outputs.append(.log(text)) }
    mutating func note(_ text: String) { outputs.append(.note(text)) }
}
