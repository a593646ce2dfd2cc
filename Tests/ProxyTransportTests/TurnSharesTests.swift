import NetworkModel
import Testing

@testable import Proxy

/// A loop in virtual time: what is ready, how long each call takes, and who was called in which turn.
private struct VirtualLoop {
    var shares = TurnShares<Int>()
    var now = Instant(nanoseconds: 1_000_000_000)
    /// Numbers of calls, in order.
    var called: [Int] = []

    mutating func run(_ call: Int, on account: AccountNumber?, for time: Duration) {
        shares.called(on: account, at: now)
        now = now + time
        if let account { shares.spend(time, on: account) }
        called.append(call)
    }

    mutating func ready(_ call: Int, on account: AccountNumber, for time: Duration) {
        if shares.mayWork(on: account, at: now) {
            run(call, on: account, for: time)
        } else {
            shares.putOff(call, on: account)
        }
    }

    mutating func goOn(each time: Duration) {
        while let (call, account) = shares.next(at: now) { run(call, on: account, for: time) }
    }
}

@Suite("Shares of a turn")
struct TurnSharesTests {
    private let hostile = AccountNumber(value: 1)
    private let honest = AccountNumber(value: 2)
    private let step = Duration.microseconds(20)

    @Test("D6: however much one site has to do, another one's work is in every turn, after a share")
    func turns() {
        var loop = VirtualLoop()
        for call in 0..<5_000 { loop.shares.putOff(call, on: hostile) }
        var turns = 0
        var longest = Duration.zero
        while loop.shares.hasWaiting {
            loop.shares.begin()
            turns += 1
            let start = loop.now
            // Its socket is told after a hundred others of the hostile site.
            for call in 0..<100 where turns == 1 {
                loop.ready(5_000 + call, on: hostile, for: step)
            }
            loop.ready(-turns, on: honest, for: step)
            loop.goOn(each: step)
            #expect(loop.called.contains(-turns))
            longest = max(longest, loop.now - start)
        }
        #expect(longest <= TurnShares<Int>.shared + step * 2)
        let calls = loop.called.filter { $0 >= 0 }
        #expect(calls == Array(0..<5_100), "nothing is lost, and its order is kept")
        // All of it takes as long as it does anyhow: turns are cut, not idled away.
        #expect(turns <= 5_100 / 12 + 1)
    }

    @Test("D6: several sites with much to do take turns, each with a share of its own")
    func sites() {
        var loop = VirtualLoop()
        let accounts = (1...4).map { AccountNumber(value: $0) }
        for call in 0..<400 { loop.shares.putOff(call, on: accounts[call % 4]) }
        loop.shares.begin()
        // Somebody else was there lately.
        loop.run(-1, on: nil, for: step)
        loop.goOn(each: step)
        let calls = loop.called.filter { $0 >= 0 }
        for index in 0..<4 { #expect((12...14).contains(calls.count { $0 % 4 == index })) }
        #expect(Array(calls.prefix(8)) == Array(0..<8), "one call each in turn")
    }

    @Test("a site that is alone has a longer share, until somebody else has something to do")
    func alone() {
        var loop = VirtualLoop()
        let some = TurnShares<Int>.shared * 3
        loop.shares.begin()
        loop.run(1, on: honest, for: some)
        loop.now = loop.now + TurnShares<Int>.memory
        loop.shares.begin()
        loop.run(2, on: honest, for: some)
        #expect(loop.shares.mayWork(on: honest, at: loop.now))
        // A client.
        loop.run(3, on: nil, for: step)
        #expect(!loop.shares.mayWork(on: honest, at: loop.now))
        loop.shares.begin()
        #expect(loop.shares.mayWork(on: honest, at: loop.now), "every turn brings a new share")
    }
}
