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

    /// Connections by their own ends, which seldom have more than one each.
    private final class Shard: Sendable {
        let ends = Mutex<[Endpoint: Ends]>([:])
    }

    private enum Ends: Sendable {
        case one(to: Endpoint, Owner)
        case several([Endpoint: Owner])

        var all: [Endpoint: Owner] {
            switch self {
            case .one(let to, let owner): [to: owner]
            case .several(let owners): owners
            }
        }
    }

    init() { shards = (0..<16).map { _ in Shard() } }

    private func shard(_ port: UInt16) -> Shard { shards[Int(port) % shards.count] }

    func insert(_ connection: Connection, _ owner: Owner) {
        shard(connection.from.port).ends.withLock { ends in
            guard var others = ends[connection.from]?.all else {
                ends[connection.from] = .one(to: connection.to, owner)
                return
            }
            others[connection.to] = owner
            ends[connection.from] = .several(others)
        }
    }

    func remove(_ connection: Connection) {
        shard(connection.from.port).ends.withLock { ends in
            switch ends[connection.from] {
            case .one(connection.to, _): ends[connection.from] = nil
            case .several(var others):
                others[connection.to] = nil
                ends[connection.from] = others.isEmpty ? nil : .several(others)
            case .one, nil: break
            }
        }
    }

    /// Whose connection from `client` to `local` it is; `local`, which the kernel has to be asked for, is needed only when
    /// there is one from `client`.
    func owner(from client: Endpoint, to local: @autoclosure () -> Endpoint?) -> Owner? {
        let ends = shard(client.port).ends.withLock { $0[client] }
        guard let ends, let local = local() else { return nil }
        return ends.all[local]
    }
}
