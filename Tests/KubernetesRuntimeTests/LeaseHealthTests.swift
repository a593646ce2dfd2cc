import KubernetesRuntime
import TestSupport
import Testing

@Suite("Whether a process could lead")
struct LeaseHealthTests {
    private let clock = ManualClock()

    @Test("K10: a process that never read the lease is not ready, and says why")
    func never() {
        let health = LeaseHealth(patience: .seconds(15), clock: clock)
        #expect(health.problem != nil)
        health.failed("403 Forbidden: leases")
        #expect(health.problem?.contains("403 Forbidden: leases") == true)
        clock.advance(by: .seconds(1))
        health.succeeded()
        #expect(health.problem == nil)
    }

    @Test("K10: a failure that passes is passed over, one that lasts is told until it ends")
    func lasting() {
        let health = LeaseHealth(patience: .seconds(15), clock: clock)
        health.succeeded()
        health.failed("503")
        clock.advance(by: .seconds(14))
        #expect(health.problem == nil)
        clock.advance(by: .seconds(2))
        #expect(health.problem?.contains("503") == true)
        health.succeeded()
        // A standby asks every other second; that it has asked nothing else is no failure.
        clock.advance(by: .seconds(100))
        #expect(health.problem == nil)
    }
}
