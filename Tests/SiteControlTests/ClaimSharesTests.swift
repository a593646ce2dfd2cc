import NetworkModel
import TestSupport
import Testing

@testable import SiteControl

@Suite("How many claims of tokens are looked at")
struct ClaimSharesTests {
    private let start = Instant(nanoseconds: 1_000_000_000)

    /// How many of so many claims are looked at.
    private func taken(
        _ count: Int,
        _ shares: inout ClaimShares,
        after wait: Duration = .zero,
        from address: (Int) -> IPAddress
    ) -> Int {
        (0..<count).count { shares.take(from: address($0), at: start + wait) }
    }

    @Test("an address has 16 at once and two a second, whatever else it tries")
    func address() {
        var shares = ClaimShares()
        let (one, other) = (IPAddress.v4(1), IPAddress.v4(2))
        #expect(taken(1_000, &shares) { _ in one } == 16)
        #expect(taken(1, &shares) { _ in other } == 1, "another address has its own")
        #expect(taken(1_000, &shares, after: .seconds(3)) { _ in one } == 6)
        #expect(taken(1_000, &shares, after: .seconds(3_600)) { _ in one } == 16)
    }

    @Test("all addresses together have 128 at once and fifty a second, and the table stays small")
    func all() {
        var shares = ClaimShares()
        #expect(taken(10_000, &shares) { .v4(UInt32($0)) } == 128)
        #expect(taken(10_000, &shares, after: .seconds(1)) { .v4(UInt32($0)) } == 50)
        for second in 2..<60 {
            let found = taken(1_000, &shares, after: .seconds(second)) {
                .v4(UInt32(second * 1_000 + $0))
            }
            #expect(found == 50)
            #expect(shares.addressCount <= ClaimShares.addressLimit)
        }
    }

    @Test("addresses of one network of IPv6 are one")
    func network() {
        var shares = ClaimShares()
        #expect(taken(100, &shares) { .v6(7, UInt64($0)) } == 16)
        #expect(taken(100, &shares) { .v6(8, UInt64($0)) } == 16)
    }

    @Test("in any order of claims nobody gets more than his share", arguments: Seeds.some(4))
    func random(_ seed: UInt64) {
        var (random, shares) = (SeededGenerator(seed: seed), ClaimShares())
        var (now, heard) = (start, [UInt32: Int]())
        for _ in 0..<20_000 {
            now = now + .milliseconds(Int64.random(in: 0...20, using: &random))
            let address = UInt32.random(in: 0..<8, using: &random)
            if shares.take(from: .v4(address), at: now) { heard[address, default: 0] += 1 }
        }
        let (passed, _) = (now - start).components
        for count in heard.values { #expect(count <= 16 + 2 * Int(passed + 1)) }
        #expect(heard.values.reduce(0, +) <= 128 + 50 * Int(passed + 1))
        // Eight addresses at two a second are not held up by the share of all.
        for address in 0..<8 as Range<UInt32> {
            #expect(heard[address, default: 0] >= 2 * Int(passed) - 1)
        }
    }
}
