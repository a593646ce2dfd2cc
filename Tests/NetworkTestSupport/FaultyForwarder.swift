import Foundation
import Synchronization

/// Forwards TCP connections to a port of loopback, and can cut, freeze or refuse them.
package final class FaultyForwarder: Sendable {
    private struct State {
        var listener: TestSocket?
        var pairs: [Int: (client: TestSocket, server: TestSocket)] = [:]
        var accepted = 0
        var isFrozen = false
        /// Connections that are frozen for good.
        var frozen: Set<Int> = []
    }

    /// Keeps the port ours while nobody listens on it.
    private let reserved: TestSocket
    private let target: UInt16
    private let state = Mutex(State())

    package init(to target: UInt16) throws {
        self.target = target
        reserved = try TestSocket.reserved()
        serve(try TestSocket.listening(port: reserved.port))
    }

    package var port: UInt16 { reserved.port }

    /// Connections taken so far.
    package var accepted: Int { state.withLock { $0.accepted } }

    package var open: Int { state.withLock { $0.pairs.count } }

    /// Ends all connections, with a reset or cleanly.
    package func cut(withReset: Bool = true) {
        let pairs = state.withLock { state in
            defer { state.pairs = [:] }
            return Array(state.pairs.values)
        }
        for (client, server) in pairs {
            if withReset { client.resetOnClose() }
            client.end()
            server.end()
        }
    }

    /// Takes no more connections; the system refuses them.
    package func refuse() {
        let listener = state.withLock { state in
            defer { state.listener = nil }
            return state.listener
        }
        listener?.end()
    }

    /// Takes connections again on the same port.
    package func resume() throws {
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            do {
                return serve(try TestSocket.listening(port: port))
            } catch  where ContinuousClock.now < deadline {
                Thread.sleep(forTimeInterval: 0.01)
            }
        }
    }

    /// Forwards nothing while frozen; the connections stay open and silent.
    package func freeze(_ isFrozen: Bool) { state.withLock { $0.isFrozen = isFrozen } }

    /// Freezes the connections that are open now; new ones work.
    package func freezeOpen() { state.withLock { $0.frozen = Set($0.pairs.keys) } }

    package func stop() {
        refuse()
        cut()
    }

    private func serve(_ listener: TestSocket) {
        state.withLock { $0.listener = listener }
        Thread.detachNewThread { [self] in
            while let client = listener.accept() { forward(client) }
        }
    }

    private func forward(_ client: TestSocket) {
        guard let server = try? TestSocket.connected(port: target) else { return }
        let id = state.withLock { state -> Int? in
            // A connection that was taken just before `refuse` must not outlive it unnoticed.
            guard state.listener != nil else { return nil }
            state.accepted += 1
            state.pairs[state.accepted] = (client, server)
            return state.accepted
        }
        guard let id else { return }
        for (from, to) in [(client, server), (server, client)] {
            Thread.detachNewThread { [self] in
                while let bytes = from.read() {
                    while state.withLock({
                        ($0.isFrozen || $0.frozen.contains(id)) && $0.pairs[id] != nil
                    }) {
                        Thread.sleep(forTimeInterval: 0.01)
                    }
                    guard to.write(bytes) else { break }
                }
                from.end()
                to.end()
                state.withLock { _ = $0.pairs.removeValue(forKey: id) }
            }
        }
    }
}
