import CertificateFixtures
import NetworkModel
import ProxyContract
import TLS
import Testing
import Wire

@testable import Proxy

private let control: UInt8 = 200
private let data: UInt8 = 201

@Suite("Lane", .timeLimit(.minutes(1)), .serialized)
struct LaneTests {
    @Test("both ends learn who the other is, measure the round trip, and say why they part")
    func life() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            #expect(pair.connect() != 0)
            #expect(eventually { pair.isEstablished })
            let acceptorSite = pair.acceptorContext.credentials.identity.site
            #expect(pair.dialer.value.neighbor?.site == acceptorSite)
            let dialerSite = pair.dialerContext.credentials.identity.site
            #expect(pair.acceptor.value.neighbor?.site == dialerSite)
            let roundTrip = Shared<Duration?>(nil)
            #expect(
                eventually {
                    first.withEnd { _, lane in
                        let time = lane.roundTrip
                        roundTrip.update { $0 = time }
                    }
                    return roundTrip.value != nil
                }
            )
            #expect(roundTrip.value ?? .seconds(9) < .seconds(5))
            let closing = LaneClosing(.shutdown, "the test is over")
            first.withEnd { _, lane in lane.close(closing) }
            #expect(eventually { pair.isClosed })
            #expect(pair.dialer.value.reasons == [.closedHere(closing)])
            #expect(pair.acceptor.value.reasons == [.closedByNeighbor(closing)])
        }
    }

    @Test("control frames of every size arrive in order and whole")
    func sizes() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            _ = pair.connect()
            #expect(eventually { pair.isEstablished })
            let sizes = [0, 1, 7, 8, 9, 1000, 16_384, 16_385, 65_536, 66_560, 0, 3]
            first.withEnd { _, lane in
                for (index, size) in sizes.enumerated() {
                    let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ index) }
                    lane.send(control, label: UInt32(index), payload)
                }
            }
            #expect(eventually { pair.acceptor.value.frameCount == sizes.count })
            for (index, frame) in pair.acceptor.value.frames.enumerated() {
                #expect(frame.type == control && frame.label == UInt32(index))
                let size = sizes[index]
                let expected = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ index) }
                #expect(frame.payload == expected, "frame \(index) of \(size) bytes")
            }
        }
    }

    @Test("64 KiB frames both ways at once arrive whole, pulled as fast as the lane takes them")
    func bulk() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            let count = 1000
            let prepare: @Sendable (LaneEnd) -> Void = { end in
                end.log.update { $0.keepsFrames = false }
                var next = 0
                end.produce = { _, buffer, limit in
                    guard limit >= 65_536 + 8, next < count else {
                        // Less room than a frame needs: a small one, as streams do.
                        if next < count {
                            buffer.append(type: data, label: 1, payload: [UInt8]())
                        }
                        return
                    }
                    let seed = UInt8(truncatingIfNeeded: next)
                    buffer.append(
                        type: data,
                        label: 0,
                        payload: [UInt8](repeating: seed, count: 65_536)
                    )
                    next += 1
                }
                end.onEstablished = { $0.requestData() }
            }
            _ = pair.connect(dialerEnd: prepare, acceptorEnd: prepare)
            let total = count * 65_536
            #expect(
                eventually(within: .seconds(40)) {
                    pair.dialer.value.byteCount == total && pair.acceptor.value.byteCount == total
                }
            )
            let expected = (0..<count).reduce(UInt64(0)) { sum, number in
                let seed = UInt8(truncatingIfNeeded: number)
                return checksum([UInt8](repeating: seed, count: 65_536), sum)
            }
            for log in [pair.dialer, pair.acceptor] {
                #expect(log.value.checksum == expected)
                #expect(log.value.reasons == [])
            }
        }
    }

    @Test("control frames overtake data, heartbeats go on beside it")
    func priority() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            _ = pair.connect(
                dialerEnd: { end in
                    var sent = 0
                    end.produce = { lane, buffer, limit in
                        guard sent < 2000 else { return }
                        // Until the pace of the path is known there may be less room.
                        guard limit >= 32_776 else { return lane.requestData() }
                        if sent == 100 { lane.send(control, label: 100) }
                        buffer.append(
                            type: data,
                            label: 0,
                            payload: [UInt8](repeating: 1, count: 32_768)
                        )
                        sent += 1
                    }
                    end.onEstablished = { $0.requestData() }
                },
                acceptorEnd: { $0.log.update { $0.keepsFrames = true } }
            )
            #expect(
                eventually(within: .seconds(30)) { pair.acceptor.value.frameCount >= 2001 }
            )
            let frames = pair.acceptor.value.frames
            let position = try #require(frames.firstIndex { $0.type == control })
            // Behind what was in its own batch at most.
            #expect((100...104).contains(position))
            #expect(pair.acceptor.value.reasons == [])
        }
    }

    @Test("a dialer that pinned another site ends the lane, and the acceptor is told why")
    func pinned() throws {
        try withLoops { first, second in
            var pair = try LanePair(first, second)
            pair.expectedSite = pair.dialerContext.credentials.identity.site
            _ = pair.connect()
            #expect(eventually { pair.isClosed })
            guard case .unexpectedSite(let found)? = pair.dialer.value.reasons.first else {
                return #expect(Bool(false))
            }
            #expect(found.site == pair.acceptorContext.credentials.identity.site)
            #expect(!pair.dialer.value.isEstablished)
            guard case .closedByNeighbor(let close)? = pair.acceptor.value.reasons.first else {
                Issue.record("\(pair.acceptor.value.reasons)")
                return
            }
            #expect(close.reason == .siteIDMismatch)
        }
    }

    @Test("a certificate that breaks a rule ends the lane at both ends, with the reason")
    func certificate() throws {
        try withLoops { first, second in
            var pair = try LanePair(first, second)
            let site = try FixtureSite { $0.notBefore = -9000 }
            let leaf = try site.leaf { ($0.notBefore, $0.notAfter) = (-5000, -1000) }
            pair.dialerContext = try TLSContext(credentials: leaf.credentials())
            _ = pair.connect()
            #expect(eventually { pair.isClosed })
            guard
                case .handshake(.certificate(.expired))? = pair.acceptor.value.reasons.first,
                case .handshake(.alert(45, _))? = pair.dialer.value.reasons.first
            else {
                Issue.record("\(pair.acceptor.value.reasons) \(pair.dialer.value.reasons)")
                return
            }
        }
    }

    @Test("nobody listens: the dialer is told that it was refused")
    func refused() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            let port = pair.connect()
            #expect(eventually { pair.isEstablished })
            second.closeListener()
            pair.dial(port)
            #expect(eventually { !pair.dialer.value.reasons.isEmpty })
            guard case .connect(let error)? = pair.dialer.value.reasons.first else {
                return #expect(Bool(false))
            }
            #expect("\(error)".contains("refused"))
        }
    }

    @Test("a lane handed over in the middle of a conversation loses nothing")
    func handover() throws {
        try withLoops { first, second in
            let third = try EventLoopThread(index: 2)
            defer { third.stop() }
            let pair = try LanePair(first, second)
            let target = third.mailbox
            _ = pair.connect(
                acceptorEnd: { end in
                    let log = end.log
                    end.receive = { lane, _, label, _ in
                        guard label == 3 else { return }
                        lane.send(control, label: 1000)
                        lane.handOver(to: target) { lane, loop in
                            let end = LaneEnd(log)
                            log.update { $0.loopIndex = loop.index }
                            end.lane = lane
                            loop.setLocal(end)
                            lane.delegate = end
                            lane.send(control, label: 1001)
                        }
                    }
                }
            )
            #expect(eventually { pair.isEstablished })
            first.withEnd { _, lane in
                for label in 0..<200 {
                    lane.send(
                        control,
                        label: UInt32(label),
                        [UInt8](repeating: UInt8(label), count: 5000)
                    )
                }
            }
            #expect(eventually { pair.acceptor.value.frameCount == 200 })
            #expect(pair.acceptor.value.frames.map(\.label) == Array(0..<200))
            #expect(pair.acceptor.value.loopIndex == 2)
            #expect(eventually { pair.dialer.value.frameCount == 2 })
            #expect(pair.dialer.value.frames.map(\.label) == [1000, 1001])
            let closing = LaneClosing(.superfluous)
            third.withEnd { _, lane in lane.close(closing) }
            #expect(eventually { pair.isClosed })
            #expect(pair.dialer.value.reasons == [.closedByNeighbor(closing)])
            #expect(pair.acceptor.value.reasons == [.closedHere(closing)])
        }
    }

    @Test("lanes leave no descriptor behind, however they end")
    func descriptors() throws {
        let before = FileDescriptor.openCount
        for round in 0..<5 {
            try withLoops { first, second in
                let pair = try LanePair(first, second)
                _ = pair.connect()
                #expect(eventually { pair.isEstablished })
                if round % 2 == 0 {
                    second.withEnd { _, lane in lane.close(LaneClosing(.shutdown)) }
                    #expect(eventually { pair.isClosed })
                }
            }
        }
        #expect(eventually { FileDescriptor.openCount == before })
    }
}
