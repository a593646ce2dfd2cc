/// Time limits of the connections of a service.
package struct ServiceTimeouts: Hashable, Sendable {
    package static let standard = ServiceTimeouts(
        connect: .seconds(3),
        idle: .seconds(3600),
        halfClosed: .seconds(300)
    )

    package var connect: Duration
    /// Without a byte in either direction; zero: never.
    package var idle: Duration
    /// Without a byte after one direction has ended; zero: never.
    package var halfClosed: Duration

    package init(connect: Duration, idle: Duration, halfClosed: Duration) {
        self.connect = connect
        self.idle = idle
        self.halfClosed = halfClosed
    }
}
