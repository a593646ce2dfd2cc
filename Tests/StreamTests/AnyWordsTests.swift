import CertificateFixtures
import Glibc
import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Proxy

/// A hop that says anything, in any order, on the labels of streams that pass through it.
@Suite("Any words of a hop", .timeLimit(.minutes(2)), .serialized)
struct AnyWordsTests {
    private struct Square {
        let near: TestProxy
        let left: TestProxy
        let right: TestProxy
        let far: TestProxy

        init() throws {
            near = try TestProxy(FixtureSite("near"), idle: .seconds(5), grace: .milliseconds(200))
            left = try TestProxy(FixtureSite("left"))
            right = try TestProxy(FixtureSite("right"))
            far = try TestProxy(FixtureSite("far"), idle: .seconds(5), grace: .milliseconds(200))
            try near.knows([far])
            try far.knows([near])
            try link()
            try prefer(left)
        }

        var all: [TestProxy] { [near, left, right, far] }

        /// What breaks the rules of a lane ends it.
        func link() throws {
            for hop in [left, right] {
                if try near.withEngine({ $0.carriers[hop.id] == nil }) { try near.link(to: hop) }
                if try hop.withEngine({ [far] in $0.carriers[far.id] == nil }) {
                    try hop.link(to: far)
                }
            }
        }

        func prefer(_ hop: TestProxy) throws {
            let other = hop === left ? right : left
            try near.targets([
                TestProxy.Way(
                    site: far.site.id,
                    cost: 2,
                    route: [hop.id, far.id],
                    detours: [[other.id, far.id]]
                )
            ])
        }

        /// Has the streams look for better ways, with an answer or without.
        func move() throws {
            try near.withEngine { engine in
                for owner in engine.owners { owner.move(isLeaving: false) }
            }
        }

        /// The hop says a few words on each label that it has.
        func talk(_ hop: TestProxy, _ seed: UInt64) throws {
            let egress = far.id
            try hop.withEngine { engine in
                var generator = SeededGenerator(seed: seed)
                for case let transit as TransitConnection in engine.owners {
                    for _ in 0..<Int.random(in: 0...2, using: &generator) {
                        let end = Bool.random(using: &generator) ? transit.inner : transit.outer
                        Self.word(on: end, egress, &generator)
                    }
                }
            }
        }

        private static func word(
            on end: StreamEnd,
            _ egress: ProxyID,
            _ generator: inout SeededGenerator
        ) {
            let offset = UInt64.random(in: 0...8, using: &generator)
            let mac = [UInt8](repeating: 1, count: WireLimit.mac)
            switch Int.random(in: 0..<9, using: &generator) {
            case 0:
                let reasons = Refused.Reason.allCases
                let reason = reasons.randomElement(using: &generator) ?? .other
                end.send(.refused) { Refused(by: egress, reason: reason).encode(into: &$0) }
            case 1:
                end.send(.opened) {
                    Opened(egress: egress, window: 9, mac: mac).encode(into: &$0)
                }
            case 2:
                let standing = StreamStanding(next: offset, hasFin: false, window: 9)
                end.send(.resumed) {
                    Resumed(egress: egress, standing: standing, start: offset, mac: mac)
                        .encode(into: &$0)
                }
            case 3: end.send(.detached)
            case 4: end.send(.cancel)
            case 5:
                let reasons = Reset.Reason.allCases
                let reason = reasons.randomElement(using: &generator) ?? .other
                end.send(.reset) { Reset(reason: reason).encode(into: &$0) }
            case 6: end.send(.fin) { Fin(offset: offset).encode(into: &$0) }
            case 7:
                end.send(.acknowledgment) {
                    Acknowledgment(offset: offset, window: 9).encode(into: &$0)
                }
            default:
                end.send(.data) {
                    $0.uint64(offset)
                    $0.array([1, 2, 3])
                }
            }
        }
    }

    @Test(
        "whatever it says, its streams end, nothing of them stays, and the next ones are served",
        arguments: Seeds.some(2)
    )
    func anyWords(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let square = try Square()
        defer { for proxy in square.all { proxy.stop() } }
        let server = TestServer.named("far")
        square.far.servers([server.port])
        let port = try square.near.listen()
        for _ in 0..<40 {
            try square.link()
            let clients = (0..<6).compactMap { _ in TestSocket.connected(to: port) }
            #expect(clients.count == 6)
            for client in clients where Bool.random(using: &generator) {
                _ = client.read(limit: 4)
                client.write([7])
            }
            for _ in 0..<4 {
                let hop = Bool.random(using: &generator) ? square.left : square.right
                try square.prefer(hop)
                try square.move()
                let talker = Bool.random(using: &generator) ? square.left : square.right
                try square.talk(talker, generator.next())
            }
            for client in clients { client.close() }
        }
        // The hop itself keeps what it told both sides behind its own back.
        for proxy in [square.near, square.far] {
            #expect(eventually { (try? proxy.isEmpty) == true }, "seed \(seed)")
            let labels = try proxy.withEngine { engine in
                engine.carriers.values.joined().reduce(0) { $0 + $1.activeStreams }
            }
            #expect(labels == 0, "seed \(seed)")
        }
        try square.link()
        let client = try #require(TestSocket.connected(to: port))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8), "seed \(seed)")
        client.close()
    }
}
