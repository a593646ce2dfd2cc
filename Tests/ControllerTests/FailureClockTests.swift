import KubernetesAPI
import KubernetesClient
import NetworkModel
import Testing

@testable import Controller

/// What of failures a status tells, and when.
@Suite("Failures that last")
struct FailureClockTests {
    private func answer(_ code: Int, _ reason: String? = nil) -> APIError {
        .status(APIStatus(code: code, reason: reason))
    }

    @Test("K17: a 5xx or a 403 that lasts is told, a 422 at once, a race never")
    func told() {
        for code in [500, 503, 403, 429] {
            #expect(!answer(code).isTold(after: .milliseconds(1_900)))
            #expect(answer(code).isTold(after: .seconds(2)))
        }
        #expect(answer(422, "Invalid").isTold(after: .zero))
        #expect(!answer(409, "Conflict").isTold(after: .seconds(60)))
        #expect(!answer(409, "AlreadyExists").isTold(after: .seconds(60)))
        #expect(!APIError.fenced.isTold(after: .seconds(60)))
    }

    @Test("K17: the time counts from the first failure in a row")
    func inARow() {
        let clock = FailureClock<String>()
        let start = Instant(nanoseconds: 5_000_000_000)
        #expect(clock.failed("a", at: start) == .zero)
        #expect(clock.failed("a", at: start + .seconds(3)) == .seconds(3))
        #expect(clock.failed("b", at: start + .seconds(3)) == .zero)
        clock.end("a")
        #expect(clock.failed("a", at: start + .seconds(4)) == .zero)
    }

    @Test("K16: a conflict that stays is looked at less and less often, down to once a minute")
    func growing() {
        let clock = FailureClock<String>()
        var now = Instant(nanoseconds: 5_000_000_000)
        #expect(clock.wait("a", at: now) == .seconds(5))
        var looks = 0
        let end = now + .seconds(3_600)
        while now < end {
            now = now + clock.wait("a", at: now)
            looks += 1
        }
        #expect((60...100).contains(looks))
        #expect(clock.wait("a", at: now) == .seconds(60))
    }
}
