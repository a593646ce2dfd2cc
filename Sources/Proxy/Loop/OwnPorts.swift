import NetworkModel
import Synchronization

/// The ports at which this process listens, with how many sockets.
///
/// A port belongs to one process. SO_REUSEPORT alone would share it with any other process of the same user, half of
/// the clients each, and nobody would be told; so the first socket of this process asks for the port as if it would
/// not share it.
enum OwnPorts {
    struct Place: Hashable {
        /// Nil: every address.
        var address: IPAddress?
        var port: UInt16
    }

    private struct Counts {
        var places: [Place: Int] = [:]
        /// Whatever the address.
        var ports: [UInt16: Int] = [:]

        mutating func add(_ change: Int, at place: Place) {
            let (sockets, all) = ((places[place] ?? 0) + change, (ports[place.port] ?? 0) + change)
            places[place] = sockets > 0 ? sockets : nil
            ports[place.port] = all > 0 ? all : nil
        }
    }

    // Held while a socket is bound, which does not block: two loops must not both be the first.
    private static let counts = Mutex(Counts())

    /// A listening socket at `place`, and the place with the port that it got (for port 0); give it back with `release`.
    ///
    /// - Throws: EADDRINUSE when another process has the port.
    static func listen(
        at place: Place,
        place claimed: inout Place
    ) throws(SystemError) -> FileDescriptor {
        claimed = place
        let number = try counts.withLock { (counts) throws(SystemError) -> Int32 in
            let socket = try FileDescriptor.listening(
                at: place.address,
                port: place.port,
                isFirst: place.port == 0 || counts.places[place] == nil
            )
            if place.port == 0 {
                guard let port = socket.localEndpoint?.port else { throw .last("getsockname") }
                claimed.port = port
            }
            counts.add(1, at: claimed)
            return socket.release()
        }
        return FileDescriptor(owning: number)
    }

    /// One socket there was closed.
    static func release(_ place: Place) {
        counts.withLock { $0.add(-1, at: place) }
    }

    /// Whether a connection to this port could be accepted by this process.
    static func contains(_ port: UInt16) -> Bool { counts.withLock { $0.ports[port] != nil } }
}
