/// How long a connection of a service may take to be made, and how long it may stand still.
///
/// Every connection has them, and all those of a service share their memory.
package struct ServiceTimeouts: Hashable, Sendable {
    package static let standard = ServiceTimeouts(
        connect: .seconds(3),
        idle: .seconds(3600),
        halfClosed: .seconds(300)
    )

    /// In whole microseconds.
    private struct Limits: Hashable {
        let connect: Duration
        let idle: Duration
        let halfClosed: Duration
    }

    private final class Memory: Sendable {
        let limits: Limits

        init(_ limits: Limits) { self.limits = limits }
    }

    private var memory: Memory

    package init(connect: Duration, idle: Duration, halfClosed: Duration) {
        memory = Memory(
            Limits(
                connect: connect.inWholeMicroseconds,
                idle: idle.inWholeMicroseconds,
                halfClosed: halfClosed.inWholeMicroseconds
            )
        )
    }

    package var connect: Duration {
        get { memory.limits.connect }
        set { self = Self(connect: newValue, idle: idle, halfClosed: halfClosed) }
    }

    /// Without a byte in either direction; zero: never.
    package var idle: Duration {
        get { memory.limits.idle }
        set { self = Self(connect: connect, idle: newValue, halfClosed: halfClosed) }
    }

    /// Without a byte after one direction has ended; zero: never.
    package var halfClosed: Duration {
        get { memory.limits.halfClosed }
        set { self = Self(connect: connect, idle: idle, halfClosed: newValue) }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.memory.limits == right.memory.limits
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(memory.limits) }
}

extension Duration {
    /// Rounded up, so that no limit becomes zero; saturates.
    fileprivate var inWholeMicroseconds: Duration {
        let (seconds, attoseconds) = components
        let rest = (attoseconds + 999_999_999_999) / 1_000_000_000_000
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        return .microseconds(overflow ? (seconds < 0 ? .min : .max) : product &+ rest)
    }
}
