import Testing

@testable import SiteControl

@Suite("What the loops say of their listeners")
struct ListenerReportsTests {
    @Test(
        "a loop that cannot listen is told, whatever the others say, until it can",
        arguments: [0, 1]
    )
    func oneLoop(failing: Int) {
        var reports = ListenerReports<UInt16>()
        for loop in 0..<2 {
            let news = reports.take(80, loop: loop, loop == failing ? "in use" : nil)
            #expect(news == (loop == failing ? "in use" : nil))
        }
        #expect(reports.failure { $0 == 80 } == "in use")
        #expect(reports.failure { $0 == 81 } == nil)
        #expect(reports.openCount(80) == 1)
        #expect(reports.take(80, loop: failing, nil) == nil)
        #expect(reports.failure { $0 == 80 } == nil)
        #expect(reports.openCount(80) == 2)
    }

    @Test("the same failure of every loop is news once, and what is not wanted is forgotten")
    func news() {
        var reports = ListenerReports<UInt16>()
        #expect(reports.take(80, loop: 0, "in use") == "in use")
        #expect(reports.take(80, loop: 1, "in use") == nil)
        #expect(reports.take(80, loop: 1, "no descriptors") == "no descriptors")
        reports.keep([81])
        #expect(reports.failure { _ in true } == nil)
        #expect(reports.take(80, loop: 0, "in use") == "in use")
    }
}
