import NetworkModel
import Testing

@Suite("Times of day")
struct TimestampTests {
    @Test(
        "times are read and written",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-22T22:17:00Z", 1_795_385_820),
            ("2000-02-29T23:59:59Z", 951_868_799), ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("1969-12-31T23:59:58Z", -2), ("0001-01-01T00:00:00Z", -62_135_596_800),
        ]
    )
    func times(text: String, seconds: Int64) {
        #expect(Timestamp(text)?.seconds == seconds)
        #expect(Timestamp(seconds: seconds).description == text)
    }

    @Test("fractions and zones are understood")
    func fractions() {
        #expect(Timestamp("1970-01-01T00:00:01.5Z")?.microseconds == 1_500_000)
        #expect(Timestamp("1970-01-01T00:00:01.123456789Z")?.microseconds == 1_123_456)
        #expect(Timestamp("1970-01-01T01:00:00+01:00")?.seconds == 0)
        #expect(Timestamp("1969-12-31T22:30:00-01:30")?.seconds == 0)
        #expect(Timestamp(microseconds: 1_000_042).precise == "1970-01-01T00:00:01.000042Z")
        #expect(Timestamp(microseconds: -1).precise == "1969-12-31T23:59:59.999999Z")
    }

    @Test(
        "what is no time is refused",
        arguments: [
            "", "now", "2026-11-22", "2026-13-01T00:00:00Z", "2026-11-22T24:00:00Z",
            "2026-11-22T22:17:00", "2026-11-22T22:17:00.Z", "2026-11-22T22:17:00Zx",
        ]
    )
    func noTimes(text: String) { #expect(Timestamp(text) == nil) }

    @Test("logs have milliseconds, cut off")
    func milliseconds() {
        #expect(Timestamp(microseconds: 1_999_999).inMilliseconds == "1970-01-01T00:00:01.999Z")
        #expect(Timestamp(microseconds: 7_000).inMilliseconds == "1970-01-01T00:00:00.007Z")
    }

    @Test("rounding goes to the nearest multiple")
    func rounding() {
        let time = Timestamp(microseconds: 1_049_999)
        #expect(time.rounded(to: .milliseconds(100)).microseconds == 1_000_000)
        #expect((time + .microseconds(1)).rounded(to: .milliseconds(100)).microseconds == 1_100_000)
        #expect(time.rounded(to: .seconds(1)) == Timestamp(seconds: 1))
    }
}
