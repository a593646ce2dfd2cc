import CertificateFixtures
import NetworkModel
import TLS
import Testing

@Suite("Handshake")
struct HandshakeTests {
    @Test("both sides learn who the other is", arguments: [1, 7, 100, 1 << 20])
    func mutual(chunk: Int) throws {
        let (east, west) = (try FixtureSite("east"), try FixtureSite("west"))
        var wire = try MemoryWire(client: east.context(), server: west.context(.sidecar))
        wire.chunk = chunk
        wire.pump()
        #expect(wire.client.failure == nil && wire.server.failure == nil)
        let server = try #require(wire.client.neighbor)
        let client = try #require(wire.server.neighbor)
        #expect(server.site == west.id && server.role == .sidecar)
        #expect(client.site == east.id && client.role == .gateway)
    }

    @Test("plaintext arrives whole, both ways, and each direction ends in order")
    func data() throws {
        let site = try FixtureSite()
        var wire = try MemoryWire(client: site.context(), server: site.context())
        wire.chunk = 1000
        wire.pump()
        let message = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try wire.client.send(message)
        try wire.server.send(Array(message.reversed()))
        wire.pump()
        #expect(wire.server.plaintext == message)
        #expect(wire.client.plaintext == message.reversed())
        wire.client.end()
        wire.pump()
        #expect(wire.server.isEnded && !wire.client.isEnded)
        #expect(throws: TLSError.self) { try wire.client.send([1]) }
        try wire.server.send([1, 2, 3])
        wire.pump()
        #expect(wire.client.plaintext.suffix(3) == [1, 2, 3])
    }

    @Test("every accepted kind of key works on either side")
    func keys() throws {
        for kind in [FixtureKey.Kind.p256, .p384, .ed25519, .rsa(bits: 3072)] {
            let site = try FixtureSite(key: kind)
            let context = try TLSContext(credentials: site.leaf(key: kind).credentials())
            let other = try FixtureSite().context()
            for (client, server) in [(context, other), (other, context)] {
                let wire = try MemoryWire(client: client, server: server)
                wire.pump()
                #expect(wire.client.isEstablished && wire.server.isEstablished)
                #expect(wire.client.failure == nil && wire.server.failure == nil)
            }
        }
    }

    @Test("an expired leaf is refused by either side, and the other side learns the kind of fault")
    func expired() throws {
        let good = try FixtureSite().context()
        let site = try FixtureSite { ($0.notBefore, $0.notAfter) = (-9000, 9000) }
        let leaf = try site.leaf { ($0.notBefore, $0.notAfter) = (-5000, -1000) }
        let bad = try TLSContext(credentials: leaf.credentials())
        for badIsClient in [true, false] {
            let wire = try MemoryWire(
                client: badIsClient ? bad : good,
                server: badIsClient ? good : bad
            )
            wire.pump()
            let (judge, judged) =
                badIsClient ? (wire.server, wire.client) : (wire.client, wire.server)
            guard case .certificate(.expired(.leaf, _)) = judge.failure else {
                Issue.record("\(String(describing: judge.failure))")
                continue
            }
            #expect(judge.neighbor == nil)
            guard case .alert(45, _) = judged.failure else {
                Issue.record("\(String(describing: judged.failure))")
                continue
            }
        }
    }

    @Test("a leaf from the future is a clock skew, not a bad certificate")
    func notYetValid() throws {
        let site = try FixtureSite()
        let leaf = try site.leaf { $0.notBefore = 3600 }
        let wire = try MemoryWire(
            client: TLSContext(credentials: leaf.credentials()),
            server: site.context()
        )
        wire.pump()
        guard case .certificate(let error) = wire.server.failure else {
            return #expect(Bool(false))
        }
        #expect(error.isClockSkew)
    }

    @Test("nothing is resumed: no session ticket follows the handshake")
    func tickets() throws {
        let site = try FixtureSite()
        let wire = try MemoryWire(client: site.context(), server: site.context())
        wire.client.take([])
        wire.server.take(wire.client.drain())
        wire.client.take(wire.server.drain())
        wire.server.take(wire.client.drain())
        #expect(wire.server.isEstablished)
        #expect(wire.server.output.isEmpty)
    }

    @Test("both sides export the same keying material, which differs from session to session")
    func exporter() throws {
        let site = try FixtureSite()
        var keys: [[UInt8]] = []
        for _ in 0..<2 {
            let wire = try MemoryWire(client: site.context(), server: site.context())
            #expect(wire.client.exportKey() == nil)
            wire.pump()
            let key = wire.client.exportKey()
            #expect(key == wire.server.exportKey())
            keys.append(try #require(key))
        }
        #expect(keys[0] != keys[1])
    }

    @Test("garbage and damaged records end the session with a reason and no plaintext")
    func damage() throws {
        let site = try FixtureSite()
        let garbage = try MemorySide(site.context(), .server)
        garbage.take(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(garbage.failure != nil)

        let wire = try MemoryWire(client: site.context(), server: site.context())
        wire.pump()
        try wire.client.send(Array("good".utf8))
        let good = wire.client.drain()
        try wire.client.send(Array("evil".utf8))
        var evil = wire.client.drain()
        evil[evil.count - 1] ^= 1
        wire.server.take(good + evil)
        #expect(wire.server.plaintext == Array("good".utf8))
        #expect(wire.server.failure != nil)
    }
}
