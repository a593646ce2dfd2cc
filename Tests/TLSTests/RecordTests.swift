import CertificateFixtures
import TLS
import Testing

/// Records are sealed and opened here, not by OpenSSL: it is the judge.
@Suite("Records")
struct RecordTests {
    private static let suites = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ]

    private func joined(
        suite: String = suites[0],
        recordsPerKey: UInt64 = 1 << 24
    ) throws -> (client: ForeignClient, server: MemorySide) {
        let site = try FixtureSite()
        let leaf = try site.leaf()
        let server = try MemorySide(site.context(), .server, recordsPerKey: recordsPerKey)
        let client = try ForeignClient(
            chain: [leaf.certificate, leaf.authority],
            key: leaf.key,
            suite: suite
        )
        #expect(client.run(against: server) == nil)
        #expect(server.isEstablished)
        return (client, server)
    }

    private func text(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 8) }
    }

    @Test("OpenSSL reads what is sealed here and the other way round", arguments: suites)
    func exchange(_ suite: String) throws {
        let (client, server) = try joined(suite: suite)
        for count in [1, 15, 16, 17, 16_383, 16_384, 16_385, 100_000] {
            try server.send(text(count))
            #expect(client.read(server.drain()) == text(count))
            let before = server.plaintext.count
            for piece in client.write(text(count)).chunked(by: 1_000) { server.take(piece) }
            #expect(Array(server.plaintext[before...]) == text(count))
        }
        #expect(server.failure == nil)
        server.end()
        #expect(client.read(server.drain()) == nil)
    }

    @Test("a key that has sealed its share is followed by another one", arguments: suites)
    func worn(_ suite: String) throws {
        let (client, server) = try joined(suite: suite, recordsPerKey: 300)
        for round in 0..<1_000 {
            try server.send([UInt8(truncatingIfNeeded: round)])
            #expect(client.read(server.drain()) == [UInt8(truncatingIfNeeded: round)])
        }
    }

    @Test("a neighbor may change its key and ask for another one of ours", arguments: suites)
    func updates(_ suite: String) throws {
        let (client, server) = try joined(suite: suite)
        for _ in 0..<3 {
            for _ in 0..<300 { server.take(client.write([1])) }
            server.take(client.updateKeys())
            server.take(client.write(text(50)))
            #expect(server.plaintext.suffix(50) == text(50)[...])
            try server.send(text(70))
            #expect(client.read(server.drain()) == text(70))
        }
        #expect(server.failure == nil)
    }

    @Test("one that does so with every record is sent away")
    func updatesOnly() throws {
        let (client, server) = try joined()
        server.take(client.updateKeys())
        #expect(server.failure != nil)
        #expect(client.read(server.drain()) == nil)
    }

    @Test("what is cut, changed, repeated, left out or of another kind ends the session")
    func damage() throws {
        for fault in 0..<6 {
            let (client, server) = try joined()
            var record = client.write(text(100))
            switch fault {
            case 0: record[0] = 22
            case 1: record[3] = 0x41
            case 2: record[4] ^= 1
            case 3: record[60] ^= 0x80
            case 4:
                server.take(record)
                #expect(server.plaintext == text(100))
            default: record = client.write(text(100))
            }
            server.take(record + client.write([1, 2, 3]))
            #expect(server.failure != nil, "fault \(fault)")
            #expect(server.plaintext.count == (fault == 4 ? 100 : 0), "fault \(fault)")
        }
    }
}

extension [UInt8] {
    fileprivate func chunked(by count: Int) -> [[UInt8]] {
        stride(from: 0, to: self.count, by: count).map {
            Array(self[$0..<Swift.min($0 + count, self.count)])
        }
    }
}
