import Glibc

@testable import Proxy

/// A TCP path to a port of 127.0.0.1 that can stop carrying bytes in either direction; one connection.
final class FaultyPath: Sendable {
    enum Direction: Hashable, Sendable { case forth, back }

    let port: UInt16
    private let stopped = Shared<Set<Direction>>([])
    private let isOver = Shared(false)
    private let threads = Shared<[Thread]>([])
    private let listener: BlockingSocket

    init(to target: UInt16) {
        (listener, port) = BlockingSocket.listening()
        let thread = Thread { [self] in
            let near = accept(listener.number, nil, nil)
            guard near >= 0 else { return }
            let front = BlockingSocket(owning: near)
            guard let back = BlockingSocket.connected(to: target) else { return }
            let forth = Thread { [self] in pump(from: front, to: back, .forth) }
            pump(from: back, to: front, .back)
            forth.join()
        }
        threads.update { $0 = [thread] }
    }

    /// Stops reading in one direction: what the sender sends fills the buffers.
    func stop(_ directions: Direction...) { stopped.update { $0.formUnion(directions) } }

    /// Ends the path and its threads.
    func end() {
        isOver.update { $0 = true }
        shutdown(listener.number, Int32(SHUT_RDWR))
        threads.value.forEach { $0.join() }
        listener.close()
    }

    private func pump(from: BlockingSocket, to: BlockingSocket, _ direction: Direction) {
        while !isOver.value {
            guard !stopped.value.contains(direction) else {
                usleep(5000)
                continue
            }
            var poll = pollfd(fd: from.number, events: Int16(POLLIN), revents: 0)
            guard unsafe Glibc.poll(&poll, 1, 20) > 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = unsafe recv(from.number, &buffer, buffer.count, 0)
            guard count > 0, to.write(Array(buffer.prefix(count))) else {
                to.end()
                return
            }
        }
    }
}
