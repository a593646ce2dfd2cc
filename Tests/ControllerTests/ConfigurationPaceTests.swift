import NetworkModel
import Testing

@testable import Controller

@Suite("When a configuration is compiled again")
struct ConfigurationPaceTests {
    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("the next round waits by what the last one wrote, and at most a second")
    func waits() {
        var pace = ConfigurationPace()
        #expect(pace.wait(at: at(0)) == nil)
        pace.wrote(parts: 0, at: at(0))
        #expect(pace.wait(at: at(0)) == nil, "few services are in the head, without parts")
        pace.wrote(parts: 1, at: at(0))
        #expect(pace.wait(at: at(0)) == .milliseconds(25))
        #expect(pace.wait(at: at(25)) == nil)
        pace.wrote(parts: 16, at: at(100))
        #expect(pace.wait(at: at(100)) == .milliseconds(400))
        #expect(pace.wait(at: at(499)) == .milliseconds(1))
        pace.wrote(parts: 64, at: at(500))
        #expect(pace.wait(at: at(500)) == .seconds(1))
        #expect(pace.wait(at: at(1500)) == nil)
    }

    @Test("1,000 Services that come within 5 s make few rounds; one at rest makes its own at once")
    func burst() {
        let parts = 16
        var pace = ConfigurationPace()
        var (rounds, written) = (0, 0)
        // Five a round trip, each in a part of its own until all parts are touched.
        for time in stride(from: UInt64(0), to: 5000, by: 25) where pace.wait(at: at(time)) == nil {
            let changed = rounds == 0 ? 5 : parts
            pace.wrote(parts: changed, at: at(time))
            (rounds, written) = (rounds + 1, written + changed)
        }
        #expect(rounds == 14)
        #expect(written <= 14 * parts)
        #expect(pace.wait(at: at(60_000)) == nil)
    }

    @Test(
        "the pace outlasts a round, and holds only where a compilation is known"
    )
    func cache() throws {
        let cache = CompilationCache()
        func wait(isKnown: Bool = true) -> Duration? {
            cache.wait("a", at: at(10)) { _ in isKnown }
        }
        _ = cache.take("a")
        cache.wrote(parts: 4, "a", at: at(0))
        #expect(wait() == nil, "everything is to be compiled")
        cache.put(try Samples.compilation(), "a")
        #expect(wait() == .milliseconds(90))
        #expect(wait(isKnown: false) == nil)
        cache.noteService("s", in: "a")
        #expect(wait() == .milliseconds(90))
        cache.noteLinks(in: "a")
        #expect(wait() == nil, "Links are few, and somebody waits for them")
        let taken = try #require(cache.take("a"))
        #expect(wait() == nil)
        cache.put(taken.0, "a")
        #expect(wait() == .milliseconds(90))
        cache.forget("a")
        #expect(wait() == nil)
    }
}
