import NetworkModel
import Synchronization

/// This proxy's own connections to servers, shared by all loops: an accepted connection that is one of them comes back.
///
/// Both ends are compared, since the kernel gives one port to connections with different other ends. So what somebody's
/// address translation leads back is not known here; `ServiceShare` bounds it.
final class OwnSockets: Sendable {
    /// One connection as the side that connects sees it.
    struct Connection: Hashable, Sendable {
        let from: Endpoint
        let to: Endpoint
    }

    /// Which server of which service the connection was meant for.
    struct Owner: Sendable {
        let service: SharedService
        let server: Endpoint
    }

    /// By port, so that loops seldom wait for each other.
    private let shards: [Shard]

    private final class Shard: Sendable {
        let owners = Mutex<[Connection: Owner]>([:])
    }

    init() { shards = (0..<16).map { _ in Shard() } }

    private func shard(_ connection: Connection) -> Shard {
        shards[Int(connection.from.port) % shards.count]
    }

    func insert(_ connection: Connection, _ owner: Owner) {
        shard(connection).owners.withLock { $0[connection] = owner }
    }

    func remove(_ connection: Connection) {
        shard(connection).owners.withLock { _ = $0.removeValue(forKey: connection) }
    }

    func owner(of connection: Connection) -> Owner? {
        shard(connection).owners.withLock { $0[connection] }
    }
}
