import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import StatusSummaries
import Synchronization

/// The one place where statuses are written.
///
/// Every write carries the resource version of the object from which the status was computed, so that counts are
/// added to what is stored, or not at all. `StatusPacer` says when.
final class StatusWriter: Sendable {
    enum Outcome {
        case written
        case unchanged
        /// Not yet: it may be written after that time.
        case wait(Duration)
    }

    private let client: KubernetesClient
    private let writer: Writer
    private let pacer = Mutex(StatusPacer())
    private let clock: MonotonicClock

    init(client: KubernetesClient, writer: Writer, clock: MonotonicClock) {
        self.client = client
        self.writer = writer
        self.clock = clock
    }

    /// An object that is gone waits for no write.
    func forget(_ object: some NetworkObject) {
        let kind = type(of: object).resource.kind
        pacer.withLock { $0.forget(StatusPacer.ObjectPlace(kind: kind, key: object.key)) }
    }

    /// Writes `status` to `object` if it says something else than the stored one.
    ///
    /// `events` tell of what is different in it, and come first: a process that ends between both finds the same difference
    /// when it is back, and their names are made of what was before. Returns the object as stored when it was written.
    /// Throws a conflict when the object has changed since it was read: the caller starts again from the newer one.
    func write<Object: NetworkObject>(
        _ status: Object.Status,
        to object: Object,
        telling events: @autoclosure () -> [EventPlan] = []
    ) async throws(APIError) -> (outcome: Outcome, object: Object)
    where Object.Status: CountingStatus {
        let difference = StatusDifference.between(
            object.status,
            status,
            generation: object.metadata.generation
        )
        let place = StatusPacer.ObjectPlace(kind: Object.resource.kind, key: object.key)
        switch pacer.withLock({ $0.decide(place, difference, at: clock.now) }) {
        case .skip: return (.unchanged, object)
        case .wait(let time): return (.wait(time), object)
        case .write:
            for event in events() { await writer.tell(event) }
            let stored = try await replace(status, of: object)
            pacer.withLock { $0.wrote(place, difference, at: clock.now) }
            return (.written, stored)
        }
    }

    /// Not an apply, which takes out only what its manager has set before: what the schema set goes in the same write.
    private func replace<Object: NetworkObject>(
        _ status: Object.Status,
        of object: Object
    ) async throws(APIError) -> Object {
        var status = status
        status.conditions = status.conditions.beside(object.status.conditions)
        var metadata = ObjectMeta(name: object.metadata.name, namespace: object.metadata.namespace)
        metadata.uid = object.metadata.uid
        metadata.resourceVersion = object.metadata.resourceVersion
        let stored = try await client.updateStatus(
            StatusReplacement<Object>(metadata: metadata, status: status),
            fieldManager: Names.fieldManager
        )
        var result = object
        result.metadata = stored.metadata
        result.status = stored.status
        return result
    }
}

extension [Condition] {
    /// These, and those of others among `stored`, which stay theirs.
    func beside(_ stored: [Condition]) -> [Condition] {
        ours + stored.filter { ConditionType(rawValue: $0.type) == nil }
    }
}

/// An object of which only the status is spoken of: the server takes nothing else from it.
private struct StatusReplacement<Object: NetworkObject>: KubernetesObject {
    static var resource: Resource { Object.resource }

    var metadata: ObjectMeta
    @Rebuildable var status: Object.Status
}

/// The monotonic clock as the pure parts know it.
struct MonotonicClock: Sendable {
    private let start = ContinuousClock.now

    var now: Instant {
        let time = (ContinuousClock.now - start).wholeNanoseconds
        // Far from zero, so that "long ago" can be said.
        return Instant(nanoseconds: 1_000_000_000_000 + UInt64(clamping: time))
    }
}
