/// What SIGTERM does: accepting goes on for `delay`; open streams get `grace` to end, then a RST.
package struct DrainParameters: Hashable, Sendable {
    package static let standard = DrainParameters(delay: .seconds(5), grace: .seconds(30))

    package var delay: Duration
    package var grace: Duration

    package init(delay: Duration, grace: Duration) {
        self.delay = delay
        self.grace = grace
    }
}
