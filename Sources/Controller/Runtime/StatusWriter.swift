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
        let difference = StatusDifference.between(object.status, status)
        let place = StatusPacer.ObjectPlace(kind: Object.resource.kind, key: object.key)
        switch pacer.withLock({ $0.decide(place, difference, at: clock.now) }) {
        case .skip: return (.unchanged, object)
        case .wait(let time): return (.wait(time), object)
        case .write:
            for event in events() { await writer.tell(event) }
            var base = object
            // An apply takes out only what its manager has set: first we make ours what the schema set, which changes nothing
            // that anybody sees. Otherwise a new object that is Stalled at once would be Reconciling for ever.
            if base.status.conditions.hold(defaultsBeyond: status.conditions) {
                base = try await apply(base.status, to: base)
            }
            let stored = try await apply(status, to: base)
            pacer.withLock { $0.wrote(place, difference, at: clock.now) }
            return (.written, stored)
        }
    }

    private func apply<Object: NetworkObject>(
        _ status: Object.Status,
        to object: Object
    ) async throws(APIError) -> Object {
        var metadata = ObjectMeta(name: object.metadata.name, namespace: object.metadata.namespace)
        metadata.uid = object.metadata.uid
        metadata.resourceVersion = object.metadata.resourceVersion
        let stored = try await client.applyStatus(
            StatusPatch<Object>(metadata: metadata, status: status),
            fieldManager: Names.fieldManager,
            force: true
        )
        var result = object
        result.metadata = stored.metadata
        result.status = stored.status
        return result
    }
}

extension [Condition] {
    /// Whether the schema set conditions that are not `wanted`.
    func hold(defaultsBeyond wanted: [Condition]) -> Bool {
        ours.contains { $0.isDefault && wanted[type: $0.type] == nil }
    }
}

extension Condition {
    /// Whether the schema set it, when the object was made: nobody has spoken of any generation yet.
    fileprivate var isDefault: Bool {
        observedGeneration == nil && reason == Reason.pending.rawValue
    }
}

/// An object of which only the status is spoken of.
private struct StatusPatch<Object: NetworkObject>: KubernetesObject {
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
