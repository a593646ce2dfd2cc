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

    // Held while a socket is bound, which does not block: two loops must not both be the first.
    private static let counts = Mutex<[Place: Int]>([:])

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
                isFirst: place.port == 0 || counts[place] == nil
            )
            if place.port == 0 {
                guard let port = socket.localEndpoint?.port else { throw .last("getsockname") }
                claimed.port = port
            }
            counts[claimed, default: 0] += 1
            return socket.release()
        }
        return FileDescriptor(owning: number)
    }

    /// One socket there was closed.
    static func release(_ place: Place) {
        counts.withLock { counts in
            let rest = (counts[place] ?? 1) - 1
            counts[place] = rest > 0 ? rest : nil
        }
    }
}
