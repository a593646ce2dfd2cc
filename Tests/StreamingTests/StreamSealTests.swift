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
        let answer = try #require(StreamSeal(answering: open, with: .opened(by: egress)))
        let heard = try #require(
            StreamSeal(of: .opened(by: egress), to: open, signer: ingress)
        )
        #expect(answer.peer == ingress && heard.peer == egress)
        #expect(answer.message == heard.message)
        let refusal = StreamSeal(answering: open, with: .refused(.draining, by: egress))
        #expect(refusal?.message != answer.message)
    }

    @Test(
        "nobody speaks for another site, a hop's word is not the egress's, nobody answers under no key"
    )
    func others() throws {
        let open = try open()
        let foreign = Open.Signature(signer: hop, mac: Array(1...16))
        #expect(StreamSeal(checking: open, signature: foreign) == nil)
        #expect(StreamSeal(of: .opened(by: hop), to: open, signer: ingress) == nil)
        var unsigned = open
        unsigned.signature = nil
        #expect(StreamSeal(answering: unsigned, with: .opened(by: egress)) == nil)
    }

    @Test("RESUME and its answer are sealed with all that decides which bytes follow, but windows")
    func resuming() throws {
        let resume = Resume(
            name: try open().name,
            epoch: 1,
            route: [hop, egress],
            signature: Open.Signature(signer: ingress, mac: Array(1...16)),
            standing: StreamStanding(next: 10, hasFin: false, window: 100)
        )
        let base = resume.authenticated(signer: ingress)
        let answer = Resumed(egress: egress, standing: resume.standing, start: 10)
        let seal = StreamSeal(answering: resume, with: .resumed(answer))
        #expect(
            seal?.message == StreamSeal(of: .resumed(answer), to: resume, signer: ingress)?.message
        )
        let changes: [(inout Resume) -> Void] = [
            { $0.name.number += 1 }, { $0.epoch += 1 }, { $0.route.removeFirst() },
            { $0.standing.next += 1 }, { $0.standing.hasFin = true },
        ]
        for change in changes {
            var copy = resume
            change(&copy)
            #expect(copy.authenticated(signer: ingress) != base)
        }
        let answers: [(inout Resumed) -> Void] = [
            { $0.standing.next += 1 }, { $0.standing.hasFin = true }, { $0.start += 1 },
        ]
        for change in answers {
            var copy = answer
            change(&copy)
            #expect(StreamSeal(answering: resume, with: .resumed(copy)) != seal)
        }
        var later = resume
        later.epoch += 1
        #expect(StreamSeal(answering: later, with: .resumed(answer)) != seal)
        var wider = resume
        wider.standing.window = 1
        #expect(wider.authenticated(signer: ingress) == base)
    }
}
