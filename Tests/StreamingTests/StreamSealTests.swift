import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

@Suite("What the MACs of a stream cover")
struct StreamSealTests {
    private let ingress = ProxyID(site: site(1), instance: 1)
    private let hop = ProxyID(site: site(2), instance: 2)
    private let egress = ProxyID(site: site(3), instance: 3)

    private func open() throws -> Open {
        Open(
            name: StreamName(ingress: ingress, number: 42),
            service: try #require(ServicePort("backend/http")),
            route: [hop, egress],
            target: egress.site,
            client: Endpoint(address: .v6(1, 2), port: 50_000),
            signature: Open.Signature(signer: ingress, mac: Array(1...16)),
            window: 65_536
        )
    }

    @Test(
        "the bytes under a MAC change with every field that no hop may change, and not with the window"
    )
    func message() throws {
        let open = try open()
        let base = open.authenticated(signer: ingress)
        var changed: [Open] = []
        func change(_ body: (inout Open) throws -> Void) rethrows {
            var copy = open
            try body(&copy)
            changed.append(copy)
        }
        change { $0.name.number += 1 }
        change { $0.epoch = 1 }
        try change { $0.service = try #require(ServicePort("backend/https")) }
        change { $0.route.removeLast() }
        change { $0.target = ingress.site }
        change { $0.client = Endpoint(address: .v6(1, 2), port: 50_001) }
        for open in changed { #expect(open.authenticated(signer: ingress) != base) }
        #expect(open.authenticated(signer: hop) != base)
        var wider = open
        wider.window = 1
        #expect(wider.authenticated(signer: ingress) == base)
    }

    @Test("signer and egress share the key; what one seals, the other finds sealed")
    func bothSides() throws {
        let open = try open()
        let signature = try #require(open.signature)
        let made = try #require(StreamSeal(sealing: open, signer: ingress))
        let found = try #require(StreamSeal(checking: open, signature: signature))
        #expect(made.peer == egress && found.peer == ingress)
        #expect(made.message == found.message)
        let answer = try #require(StreamSeal(answering: open, with: .opened, egress: egress))
        let heard = try #require(
            StreamSeal(answerTo: open, signer: ingress, from: egress, with: .opened)
        )
        #expect(answer.peer == ingress && heard.peer == egress)
        #expect(answer.message == heard.message)
        let refusal = StreamSeal(
            answering: open,
            with: .refused,
            egress: egress,
            reason: .draining
        )
        #expect(refusal?.message != answer.message)
    }

    @Test(
        "nobody speaks for another site, a hop's word is not the egress's, nobody answers under no key"
    )
    func others() throws {
        let open = try open()
        let foreign = Open.Signature(signer: hop, mac: Array(1...16))
        #expect(StreamSeal(checking: open, signature: foreign) == nil)
        #expect(StreamSeal(answerTo: open, signer: ingress, from: hop, with: .opened) == nil)
        var unsigned = open
        unsigned.signature = nil
        #expect(StreamSeal(answering: unsigned, with: .opened, egress: egress) == nil)
    }
}
