import KubernetesRuntime
import Testing

@Suite("Whether a process could lead")
struct LeaseHealthTests {
    private let start = ContinuousClock.now

    @Test("K10: a process that never read the lease is not ready, and says why")
    func never() {
        let health = LeaseHealth(patience: .seconds(15), now: start)
        #expect(health.problem(at: start) != nil)
        health.failed("403 Forbidden: leases")
        #expect(health.problem(at: start)?.contains("403 Forbidden: leases") == true)
        health.succeeded(at: start + .seconds(1))
        #expect(health.problem(at: start + .seconds(1)) == nil)
    }

    @Test("K10: a failure that passes is passed over, one that lasts is told until it ends")
    func lasting() {
        let health = LeaseHealth(patience: .seconds(15), now: start)
        health.succeeded(at: start)
        health.failed("503")
        #expect(health.problem(at: start + .seconds(14)) == nil)
        #expect(health.problem(at: start + .seconds(16))?.contains("503") == true)
        health.succeeded(at: start + .seconds(17))
        // A standby asks every other second; that it has asked nothing else is no failure.
        #expect(health.problem(at: start + .seconds(100)) == nil)
    }
}
