import CLinux
import Glibc

/// Carries connections from the node's network to the API server on the host's loopback.
///
/// Two blocking threads per connection: there are few of them, and at rest they cost nothing.
struct APIForwarder: Sendable {
    /// The port of the API server on the host's 127.0.0.1.
    let port: UInt16

    func start(on address: String, in network: NetworkNamespace) async throws {
        let listener = try await network.perform {
            try Sockets.listen(SOCK_STREAM, address: address, port: 443)
        }
        startThread {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { continue }
                startThread { forward(client) }
            }
        }
    }

    private func forward(_ client: Int32) {
        guard let server = try? Sockets.connect(address: "127.0.0.1", port: port, timeout: nil)
        else {
            // As the API server's own port would: refused, not ended.
            Sockets.resetOnClose(client)
            close(client)
            return
        }
        for descriptor in [client, server] {
            Sockets.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        }
        let pair = Pair(client: client, server: server)
        startThread {
            copy(from: pair.server, to: pair.client)
            withExtendedLifetime(pair) {}
        }
        copy(from: client, to: server)
        withExtendedLifetime(pair) {}
    }

    private func copy(from source: Int32, to target: Int32) {
        while let bytes = Sockets.receive(from: source, limit: 64 * 1024) {
            guard !bytes.isEmpty else {
                shutdown(target, Int32(SHUT_WR))
                return
            }
            guard Sockets.send(bytes, to: target) else { break }
        }
        // A reset goes through as a reset, and wakes the other direction.
        Sockets.resetOnClose(target)
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
    }
}

/// Two sockets that are closed when both directions have ended.
private final class Pair: Sendable {
    let client: Int32
    let server: Int32

    init(client: Int32, server: Int32) {
        self.client = client
        self.server = server
    }

    deinit {
        close(client)
        close(server)
    }
}
