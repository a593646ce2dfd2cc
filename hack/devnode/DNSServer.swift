import CLinux
import DevnodeCore
import Glibc
import Synchronization

/// The cluster's DNS server, on the node's resolver address over UDP and TCP.
final class DNSServer: Sendable {
    private struct State {
        var zone = DNSZone()
        var turn = 0
    }

    /// As long as the cluster DNS of a real node says.
    private static let timeToLive: UInt32 = 5
    private let state = Mutex(State())

    /// From here on answers come from this zone.
    func publish(_ zone: DNSZone) {
        state.withLock { $0.zone = zone }
    }

    func start(on address: String, in network: NetworkNamespace) async throws {
        let (datagrams, listener) = try await network.perform {
            (
                try Sockets.listen(SOCK_DGRAM, address: address, port: 53),
                try Sockets.listen(SOCK_STREAM, address: address, port: 53)
            )
        }
        startThread { self.serveDatagrams(datagrams) }
        startThread { self.acceptStreams(listener) }
    }

    private func answer(_ bytes: [UInt8], limit: Int?) -> [UInt8]? {
        guard let query = DNSQuery(bytes) else { return nil }
        let (zone, turn) = state.withLock { state in
            state.turn &+= 1
            return (state.zone, state.turn & 0xFFFF)
        }
        return query.response(
            zone.answer(name: query.name, type: query.type).rotated(by: turn),
            timeToLive: Self.timeToLive,
            limit: limit ?? min(query.payloadSize, 4096)
        )
    }

    private func serveDatagrams(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var client = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = unsafe withUnsafeMutablePointer(to: &client) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe buffer.withUnsafeMutableBytes {
                        unsafe recvfrom(descriptor, $0.baseAddress, $0.count, 0, address, &length)
                    }
                }
            }
            guard count > 0, let reply = answer(Array(buffer[..<count]), limit: nil) else {
                continue
            }
            unsafe withUnsafePointer(to: &client) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe reply.withUnsafeBytes {
                        _ = unsafe sendto(descriptor, $0.baseAddress, $0.count, 0, address, length)
                    }
                }
            }
        }
    }

    private func acceptStreams(_ listener: Int32) {
        while true {
            let stream = accept(listener, nil, nil)
            guard stream >= 0 else { continue }
            startThread {
                self.serveStream(stream)
                close(stream)
            }
        }
    }

    private func serveStream(_ stream: Int32) {
        while let size = Sockets.receive(exactly: 2, from: stream),
            let query = Sockets.receive(
                exactly: Int(size[0]) << 8 | Int(size[1]),
                from: stream
            ),
            let reply = answer(query, limit: 65_535)
        {
            let head = [UInt8(reply.count >> 8), UInt8(reply.count & 0xFF)]
            guard Sockets.send(head + reply, to: stream) else { return }
        }
    }
}
