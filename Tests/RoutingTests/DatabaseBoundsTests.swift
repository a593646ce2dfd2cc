import NetworkModel
import Routing
import TestSupport
import Testing

@Suite("Bounds of the database")
struct DatabaseBoundsTests {
    private func instance() -> RoutingInstance {
        var instance = RoutingInstance(origin: gateway(0))
        let edge = EdgeName.link(dialer: site(0), name: link("l"))
        _ = instance.handle(
            .adjacency(neighbor: gateway(1), edges: [edge]),
            at: .milliseconds(1_000)
        )
        return instance
    }

    private func advertise(
        _ origin: ProxyID,
        bytes: Int = 100,
        to instance: inout RoutingInstance,
        at milliseconds: Int
    ) {
        let signed = SignedLSA(
            lsa: LSA(origin: origin, sequence: 1, issued: wall(.milliseconds(milliseconds))),
            bytes: [UInt8](repeating: 0, count: bytes)
        )
        _ = instance.handle(.received(signed, from: gateway(1)), at: .milliseconds(milliseconds))
    }

    private func held(_ instance: RoutingInstance, of index: Int) -> [UInt64] {
        instance.headers.map(\.key.origin).filter { $0.site == site(index) }.map(\.instance)
    }

    @Test("one site's key cannot fill the database: 64 gateways, and room for a newer one")
    func gatewaysOfOneSite() {
        var instance = instance()
        for number in 1...64 {
            advertise(gateway(2, UInt64(number)), to: &instance, at: 1_001)
        }
        #expect(held(instance, of: 2).count == 64)
        #expect(instance.refusals == 0)
        // Nobody knows yet that nothing leads to them: there is no room.
        advertise(gateway(2, 65), to: &instance, at: 1_001)
        #expect(instance.refusals == 1)
        advertise(gateway(3), to: &instance, at: 1_001)
        #expect(held(instance, of: 3) == [1])
        // The next run of SPF finds them out of reach: a gateway that has just come takes the place of one of them.
        _ = instance.handle(.deadline, at: .milliseconds(2_000))
        advertise(gateway(2, 66), to: &instance, at: 2_001)
        #expect(held(instance, of: 2).count == 64)
        #expect(held(instance, of: 2).contains(66))
        #expect(instance.refusals == 1)
    }

    @Test("one site's advertisements take up 4 MiB at the most")
    func bytesOfOneSite() {
        var instance = instance()
        for number in 1...5 {
            advertise(
                gateway(2, UInt64(number)),
                bytes: 1 << 20,
                to: &instance,
                at: 1_001
            )
        }
        #expect(held(instance, of: 2).count == 4)
        #expect(instance.refusals == 1)
        advertise(gateway(3), bytes: 1 << 20, to: &instance, at: 1_001)
        #expect(held(instance, of: 3) == [1])
    }
}
