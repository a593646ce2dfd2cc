import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

@Suite("Admission")
struct AdmissionTests {
    private let own = proxy(site(1), 5)
    private let now = Instant(nanoseconds: 1)

    private func candidate(
        _ neighbor: ProxyID,
        lane: UInt64 = 2,
        _ purpose: LanePurpose = .link,
        role: ProxyRole = .gateway,
        link: String? = "a"
    ) -> LaneCandidate {
        LaneCandidate(
            id: LaneID(number: lane),
            loop: 0,
            purpose: purpose,
            remote: Endpoint(address: .v4(1), port: 1),
            site: neighbor.site,
            role: role,
            hello: Hello(
                proxy: neighbor,
                isSidecar: role == .sidecar,
                loops: 1,
                name: "them",
                link: link.flatMap { LinkName($0) },
                heartbeat: .milliseconds(250),
                misses: 3
            )
        )
    }

    private func gateway(_ shares: LaneShares = LaneShares()) -> GatewayControl {
        var options = ControlOptions(own: own)
        options.shares = shares
        var gateway = GatewayControl(options)
        let document = ConfigurationDocument(
            generation: 1,
            snapshotKey: "",
            configuration: .of(own.site, allow: [site(2), site(3)])
        )
        _ = gateway.handle(.configuration(document, localAddresses: []), at: now, wall: .epoch)
        return gateway
    }

    /// Why a candidate is refused; nil when it is let in, and in place at once.
    private func refusal(
        _ candidate: LaneCandidate,
        _ gateway: inout GatewayControl
    ) -> CloseCode? {
        for output in gateway.handle(.candidate(candidate), at: now, wall: .epoch) {
            switch output {
            case .refuse(candidate.id, _, let closing): return closing.reason
            case .admit(candidate.id, _, _, _):
                _ = gateway.handle(.welcomed(candidate.id), at: now, wall: .epoch)
                return nil
            default: break
            }
        }
        return .other
    }

    @Test("who is allowed is let in, all others are told why not")
    func reasons() {
        var gateway = gateway()
        #expect(refusal(candidate(proxy(site(2), 1)), &gateway) == nil)
        #expect(refusal(candidate(proxy(site(4), 1)), &gateway) == .notAllowed)
        #expect(refusal(candidate(own), &gateway) == .toSelf)
        #expect(refusal(candidate(proxy(site(1), 6)), &gateway) == .duplicateIdentity)
        #expect(refusal(candidate(proxy(site(2), 2), link: nil), &gateway) == .protocolError)
        #expect(refusal(candidate(proxy(site(2), 3), role: .sidecar), &gateway) == .wrongRole)
        #expect(refusal(candidate(proxy(site(2), 4), .inside), &gateway) == .wrongRole)
        #expect(refusal(candidate(proxy(site(1), 7), .inside), &gateway) == nil)
        let sidecar = candidate(proxy(site(1), 7), .inside, role: .sidecar)
        #expect(refusal(sidecar, &gateway) == .helloContradictsCertificate)
        _ = gateway.handle(.drain, at: now, wall: .epoch)
        #expect(refusal(candidate(proxy(site(3), 1)), &gateway) == .shutdown)
    }

    @Test("a site's share bounds its proxies and lanes, and what ends makes room")
    func shares() {
        var gateway = gateway(LaneShares(lanesPerSite: 3, proxiesPerSite: 2))
        #expect(refusal(candidate(proxy(site(2), 1), lane: 2), &gateway) == nil)
        #expect(refusal(candidate(proxy(site(2), 2), lane: 4), &gateway) == nil)
        #expect(refusal(candidate(proxy(site(2), 3), lane: 6), &gateway) == .overloaded)
        #expect(refusal(candidate(proxy(site(2), 1), lane: 8), &gateway) == nil)
        #expect(refusal(candidate(proxy(site(2), 1), lane: 10), &gateway) == .overloaded)
        #expect(refusal(candidate(proxy(site(3), 1), lane: 12), &gateway) == nil, "another site")
        let end = ControlInput.ended(
            LaneID(number: 4),
            .failed("cut"),
            wasUp: true,
            LaneFigures()
        )
        let outputs = gateway.handle(end, at: now, wall: .epoch)
        #expect(outputs.contains(.account(site(2), .lanes(2))))
        #expect(outputs.contains(.account(site(2), .proxies(1))))
        #expect(refusal(candidate(proxy(site(2), 3), lane: 14), &gateway) == nil)
    }

    @Test("many lanes of one neighbor leave room for the first lane of another Link, and no more")
    func manyLanes() {
        var gateway = gateway()
        let neighbor = proxy(site(2), 1)
        for number in 1...16 as ClosedRange<UInt64> {
            #expect(refusal(candidate(neighbor, lane: number * 2), &gateway) == nil)
        }
        #expect(refusal(candidate(neighbor, lane: 34), &gateway) == .overloaded)
        #expect(refusal(candidate(neighbor, lane: 36, link: "b"), &gateway) == nil)
        #expect(refusal(candidate(neighbor, lane: 38, link: "b"), &gateway) == .overloaded)
        for number in 0..<7 as Range<UInt64> {
            let next = candidate(neighbor, lane: 40 + number * 2, link: "c\(number)")
            #expect(refusal(next, &gateway) == nil)
        }
        #expect(refusal(candidate(neighbor, lane: 60, link: "z"), &gateway) == .overloaded)
    }

    @Test(
        "a lane goes to the loop that has the fewest of its neighbor, those on their way included"
    )
    func placement() {
        var gateway = GatewayControl(ControlOptions(own: own, loops: 3))
        let document = ConfigurationDocument(
            generation: 1,
            snapshotKey: "",
            configuration: .of(own.site, allow: [site(2)])
        )
        _ = gateway.handle(.configuration(document, localAddresses: []), at: now, wall: .epoch)
        let loops = (1...6 as ClosedRange<UInt64>).flatMap { number in
            gateway.handle(
                .candidate(candidate(proxy(site(2), 1), lane: number * 2)),
                at: now,
                wall: .epoch
            ).compactMap { if case .admit(_, _, let loop, _) = $0 { loop } else { nil } }
        }
        #expect(loops == [0, 1, 2, 0, 1, 2])
    }
}
