import NetworkModel
import Testing

@testable import Proxy

@Suite("The account of a neighbor site")
struct NeighborAccountTests {
    private let own = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
    private let other = SiteID(publicKeyDigest: Array(repeating: 2, count: 32))

    @Test("D9: a site draws up to its share, and no other site's")
    func share() {
        let accounts = NeighborAccounts(own: own, descriptors: DescriptorShares(limit: 1_024))
        let account = accounts.account(of: other)
        #expect(account === accounts.account(of: other), "one account per site")
        let share = account.share(.lanes)
        for _ in 0..<share { #expect(account.take(.lanes)) }
        #expect(!account.take(.lanes))
        #expect(account.used(.lanes) == share, "what was refused was not drawn")
        #expect(account.denied(.lanes) == 1)
        #expect(accounts.account(of: own).take(.lanes), "the others are as they were")
        account.give(.lanes)
        #expect(account.take(.lanes))
    }

    @Test("D9: one site's shares are less than what all may have")
    func shares() {
        for limit in [256, 1_024, 65_536, 1_048_576] {
            let whole = DescriptorShares(limit: limit)
            let account = NeighborAccounts(own: own, descriptors: whole).account(of: other)
            #expect(account.share(.lanes) <= max(16, whole.lanes / 4))
            #expect(account.share(.descriptors) <= whole.relays / 2)
        }
    }

    @Test("D5: handshakes, lanes and relays have shares of the soft limit, and 64 are never given")
    func descriptors() {
        let shares = DescriptorShares(limit: 1_024)
        #expect(shares.untouchable == 64)
        #expect(shares.handshakes == 128)
        #expect(shares.lanes == 256)
        #expect(shares.relays == 1_024 - 64 - 128 - 256)
        // Clients leave what handshakes and lanes do not use yet.
        #expect(shares.hasRoomForClient(open: 574, handshakes: 0, lanes: 0))
        #expect(!shares.hasRoomForClient(open: 575, handshakes: 0, lanes: 0))
        #expect(shares.hasRoomForClient(open: 574 + 384, handshakes: 128, lanes: 256))
        #expect(!shares.hasRoomForClient(open: 575 + 384, handshakes: 128, lanes: 256))
        #expect(shares.hasRoomForSocket(open: 959))
        #expect(!shares.hasRoomForSocket(open: 960))
        #expect(DescriptorShares(limit: 64).hasRoomForSocket(open: 47))
    }
}
