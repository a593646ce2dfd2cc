/// Time as one component sees it: what has passed on its clock since the component began.
///
/// The clock is the machine's, or a test's that only goes when it is told to.
package struct Timeline: Sendable {
    private let clock: any Clock<Duration>
    private let reading: @Sendable () -> Duration

    package init(_ clock: any Clock<Duration> = ContinuousClock()) {
        self.clock = clock
        reading = Self.reading(of: clock)
    }

    private static func reading<Source: Clock>(
        of clock: Source
    ) -> @Sendable () -> Duration where Source.Duration == Duration {
        let start = clock.now
        return { start.duration(to: clock.now) }
    }

    /// What has passed since the beginning.
    package var now: Duration { reading() }

    /// Throws when the task is canceled.
    package func sleep(for time: Duration) async throws { try await clock.sleep(for: time) }
}
