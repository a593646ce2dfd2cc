/// Time limits of the connections of a service, in whole microseconds: every connection has them.
package struct ServiceTimeouts: Hashable, Sendable {
    package static let standard = ServiceTimeouts(
        connect: .seconds(3),
        idle: .seconds(3600),
        halfClosed: .seconds(300)
    )

    private var connectMicroseconds: Int64
    private var idleMicroseconds: Int64
    private var halfClosedMicroseconds: Int64

    package init(connect: Duration, idle: Duration, halfClosed: Duration) {
        connectMicroseconds = connect.wholeMicroseconds
        idleMicroseconds = idle.wholeMicroseconds
        halfClosedMicroseconds = halfClosed.wholeMicroseconds
    }

    package var connect: Duration {
        get { .microseconds(connectMicroseconds) }
        set { connectMicroseconds = newValue.wholeMicroseconds }
    }

    /// Without a byte in either direction; zero: never.
    package var idle: Duration {
        get { .microseconds(idleMicroseconds) }
        set { idleMicroseconds = newValue.wholeMicroseconds }
    }

    /// Without a byte after one direction has ended; zero: never.
    package var halfClosed: Duration {
        get { .microseconds(halfClosedMicroseconds) }
        set { halfClosedMicroseconds = newValue.wholeMicroseconds }
    }
}

extension Duration {
    /// Rounded up, so that no limit becomes zero; saturates.
    fileprivate var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        let rest = (attoseconds + 999_999_999_999) / 1_000_000_000_000
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : product &+ rest
    }
}
