import CertificateFixtures
import NetworkModel
import Streaming
import Testing
import Wire

@testable import Proxy

/// When the other end is told of what was written.
@Suite("Acknowledgments", .timeLimit(.minutes(2)), .serialized)
struct AcknowledgmentTests {
    /// What one batch of a carrier held.
    private struct Batch {
        var data = 0
        var acknowledgments = 0

        init(_ buffer: borrowing FrameBuffer) {
            let bytes = unsafe buffer.withBytes { unsafe [UInt8]($0) }
            var offset = 0
            while offset < bytes.count {
                let length = bytes[offset..<offset + 3].reduce(0) { $0 << 8 | Int($1) }
                switch FrameType(rawValue: bytes[offset + 3]) {
                case .data: data += 1
                case .acknowledgment: acknowledgments += 1
                default: break
                }
                offset += FrameHeader.size + length
            }
        }
    }

    @Test("many that send at once leave what is not due for later, and one alone does not")
    func crowd() throws {
        let (near, far) = (try TestProxy(FixtureSite("near")), try TestProxy(FixtureSite("far")))
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = TestServer { client in
            while true {
                let (bytes, end) = client.read(limit: 1)
                guard end == nil, client.write(bytes) else { return }
            }
        }
        far.servers([server.port])
        let port = try near.listen()
        let clients = try (0..<10).map { _ in try #require(TestSocket.connected(to: port)) }
        var batches: [Batch] = []
        while batches.isEmpty {
            for client in clients {
                client.write([1])
                #expect(client.read(limit: 1).bytes == [1])
            }
            batches = try near.withEngine { try Self.batches(of: $0, clients, to: far.id) }
        }
        #expect(batches.map(\.data) == [9, 1])
        #expect(batches.map(\.acknowledgments) == [0, 1])
    }

    /// What is sent when all but the last client say a word at once, then the last one; nothing while one owes no acknowledgment.
    private static func batches(
        of engine: StreamEngine,
        _ clients: [TestSocket],
        to neighbor: ProxyID
    ) throws -> [Batch] {
        let carrier = try #require(engine.carriers[neighbor]?.first)
        let ends = engine.owners.compactMap { $0 as? IngressConnection }
        guard ends.count == clients.count,
            ends.allSatisfy({ $0.flow.receiver.owesAcknowledgment })
        else { return [] }
        for client in clients { client.write([1]) }
        return [ends.dropLast(), ends.suffix(1)].map { some in
            for end in some {
                end.part.isReadable = true
                end.requestData()
            }
            var buffer = FrameBuffer()
            _ = carrier.produceData(into: &buffer, limit: 64 * 1024)
            return Batch(buffer)
        }
    }
}
