import NetworkModel
import Streaming
import Synchronization
import Wire

/// The index of this proxy's streams, shared by all loops: a frame that names a stream may arrive at any of them.
final class StreamNames: Sendable {
    /// By number, so that loops seldom wait for each other.
    private let shards: [Shard] = (0..<16).map { _ in Shard() }

    private final class Shard: Sendable {
        let index = Mutex(StreamIndex())
    }

    private func shard(_ name: StreamName) -> Shard {
        shards[Int(name.number % UInt64(shards.count))]
    }

    func insert(_ name: StreamName, _ place: StreamIndex.Place) {
        shard(name).index.withLock { _ = $0.insert(name, place) }
    }

    func remove(_ name: StreamName, _ place: StreamIndex.Place) {
        shard(name).index.withLock { $0.remove(name, place) }
    }

    func bury(
        _ name: StreamName,
        _ place: StreamIndex.Place,
        _ verdict: StreamIndex.Verdict,
        until: Instant,
        at now: Instant
    ) {
        shard(name).index.withLock { $0.bury(name, place, verdict, until: until, at: now) }
    }

    func find(_ name: StreamName) -> StreamIndex.Place? {
        shard(name).index.withLock { $0.find(name) }
    }

    func verdict(_ name: StreamName, at now: Instant) -> StreamIndex.Verdict? {
        shard(name).index.withLock { $0.verdict(name, at: now) }
    }

    var count: Int { shards.reduce(0) { $0 + $1.index.withLock { $0.count } } }
}
