import Testing

@testable import Streaming

@Suite("A service's share of descriptors")
struct ServiceShareTests {
    @Test("P2: connections without a byte hold a quarter of the room at most, others do not count")
    func untouched() {
        var share = ServiceShare()
        let room = DescriptorRoom(total: 800, open: 10)
        for _ in 0..<100 { #expect(share.admit(in: room) == true) }
        #expect(share.admit(in: room) == false)
        share.touched()
        #expect(share.admit(in: room) == true, "one of them has said something")
        share.left(isTouched: false)
        #expect(share.admit(in: room) == true, "one of them has ended")
        share.left(isTouched: true)
        #expect(share.admit(in: room) == false)
        #expect(share.held == 100 && share.untouched == 100)
    }

    @Test("P2: a service that holds half of the room leaves the last quarter to others")
    func half() {
        var large = ServiceShare()
        for _ in 0..<200 {
            #expect(large.admit(in: DescriptorRoom(total: 800, open: 2 * large.held)) == true)
            large.touched()
        }
        #expect(
            large.admit(in: DescriptorRoom(total: 800, open: 400)) == true,
            "nobody else needs it"
        )
        #expect(large.admit(in: DescriptorRoom(total: 800, open: 600)) == false)
        var small = ServiceShare()
        #expect(small.admit(in: DescriptorRoom(total: 800, open: 700)) == true)
    }
}
