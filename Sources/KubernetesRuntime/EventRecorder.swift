package import KubernetesAPI
package import KubernetesClient
package import Logging
package import NetworkModel
import Synchronization

/// Something worth telling people about an object.
package struct EventNote: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case normal = "Normal"
        case warning = "Warning"
    }

    package var regarding: ObjectReference
    package var related: ObjectReference?
    package var kind: Kind
    /// PascalCase, such as `FailedOver`.
    package var reason: String
    /// PascalCase: what was done, such as `Failover`.
    package var action: String
    /// For people; cut at 1024 bytes.
    package var text: String
    package var time: Timestamp
    /// The name of the Event; nil for one made from the content and the time.
    ///
    /// An Event of a name exists once: with a name derived from what happened, telling it again, also
    /// after a restart, has no effect.
    package var name: String?

    package init(
        regarding: ObjectReference,
        related: ObjectReference? = nil,
        kind: Kind = .normal,
        reason: String,
        action: String,
        text: String,
        time: Timestamp,
        name: String? = nil
    ) {
        self.regarding = regarding
        self.related = related
        self.kind = kind
        self.reason = reason
        self.action = action
        self.text = text
        self.time = time
        self.name = name
    }
}

/// Writes Events (events.k8s.io/v1).
///
/// `tell` sends a note before it returns. `record` never waits: notes are sent by `run()`, in order, tried again while the
/// server is away. One that the server fails at lets the others pass and is dropped after some attempts. At most `limit`
/// wait; then the oldest is dropped and counted. The same note about the same object is not written twice within ten
/// minutes, whatever its time; named ones are never written twice; what an object tells again and again is gathered
/// (`EventFilter`).
package final class EventRecorder: Sendable {
    private struct State {
        var waiting: [Waiting] = []
        /// When a note was last recorded, by what it says.
        var recent: [Digest: Timestamp] = [:]
        var filter = EventFilter()
        var dropped = 0
    }

    private struct Waiting: Equatable {
        let note: EventNote
        var attempts = 0
    }

    private enum Outcome {
        case done
        /// The server answers nobody, or asks for patience: it would be the same for any other.
        case serverAway
        /// The server fails at this one.
        case failed(APIError)
    }

    /// How often one is tried that the server fails at.
    private static let attempts = 5

    private struct Digest: Hashable {
        let regarding: ObjectReference
        let reason: String
        let text: String
        let name: String?
    }

    private let client: KubernetesClient
    private let controller: String
    private let instance: String
    private let limit: Int
    private let backoff: Backoff
    private let logger: Logger
    private let time: Timeline
    private let state = Mutex(State())
    private let wake = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    /// A recorder for `controller`, such as `tieline.dev/controller`, and the `instance` of it, such as
    /// the pod's name.
    package init(
        client: KubernetesClient,
        controller: String,
        instance: String,
        limit: Int = 1000,
        backoff: Backoff = .server,
        logger: Logger,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.client = client
        self.controller = controller
        self.instance = instance
        self.limit = limit
        self.backoff = backoff
        self.logger = logger
        time = Timeline(clock)
    }

    /// Notes that were dropped because too many waited.
    package var dropped: Int { state.withLock { $0.dropped } }

    package func record(_ note: EventNote) {
        guard let note = state.withLock({ Self.pass(note, &$0) }) else { return }
        enqueue(note)
    }

    /// Writes one that must not be lost with this process: it is there when this returns, unless the server did not take it;
    /// then it waits like the others, as it does while others wait: nothing is held up for long by Events.
    package func tell(_ note: EventNote) async {
        let passed = state.withLock { state in
            Self.pass(note, &state).map { (note: $0, isFirst: state.waiting.isEmpty) }
        }
        guard let passed else { return }
        if passed.isFirst, case .done = await attempt(passed.note) { return }
        enqueue(passed.note)
    }

    /// The note to be written for this one; nil: it is no news.
    private static func pass(_ note: EventNote, _ state: inout State) -> EventNote? {
        let digest = Digest(
            regarding: note.regarding.withoutVersion,
            reason: note.reason,
            text: note.text,
            name: note.name
        )
        if let last = state.recent[digest], note.time - last < .seconds(600) { return nil }
        if state.recent.count >= 4096 {
            state.recent = state.recent.filter { note.time - $0.value < .seconds(600) }
        }
        if state.recent.count < 4096 { state.recent[digest] = note.time }
        return state.filter.pass(note)
    }

    private func enqueue(_ note: EventNote) {
        state.withLock { state in
            if state.waiting.count >= limit {
                state.waiting.removeFirst()
                state.dropped += 1
            }
            state.waiting.append(Waiting(note: note))
        }
        wake.continuation.yield()
    }

    /// Sends what was recorded, until the task is canceled.
    package func run() async {
        for await _ in wake.stream {
            var backoff = self.backoff
            while var first = state.withLock({ $0.waiting.first }), !Task.isCancelled {
                // Those that failed before wait; the ones that come before them do not.
                if first.attempts > 0 { try? await time.sleep(for: backoff.next()) }
                let outcome = await attempt(first.note)
                if case .serverAway = outcome {
                    try? await time.sleep(for: backoff.next())
                    continue
                }
                remove(first)
                guard case .failed(let error) = outcome else {
                    backoff.reset()
                    continue
                }
                first.attempts += 1
                if first.attempts < Self.attempts {
                    state.withLock { [first] in $0.waiting.append(first) }
                } else {
                    logger.warning("an event was not written: \(error)")
                    state.withLock { $0.dropped += 1 }
                }
            }
        }
    }

    /// Writes one Event now; an Event of that name being there already is success.
    package func write(_ note: EventNote) async throws(APIError) {
        do {
            _ = try await client.create(event(note))
        } catch {
            guard error.isAlreadyExists else { throw error }
        }
    }

    private func remove(_ waiting: Waiting) {
        state.withLock { state in
            // It may have been dropped meanwhile.
            if state.waiting.first == waiting { state.waiting.removeFirst() }
        }
    }

    private func attempt(_ note: EventNote) async -> Outcome {
        do {
            try await write(note)
            return .done
        } catch {
            switch error {
            case .status(let status) where status.code == 500: return .failed(error)
            case _ where error.isTransient: return .serverAway
            default:
                // Such as a namespace that is going away; nothing would make this one pass.
                logger.warning("an event was not written: \(error)")
                return .done
            }
        }
    }

    private func event(_ note: EventNote) -> Events.Event {
        Events.Event {
            let name = note.name ?? generatedName(note)
            // Events about objects of the whole cluster live in the default namespace.
            $0.metadata = ObjectMeta(name: name, namespace: note.regarding.namespace ?? "default")
            $0.eventTime = MicroTimestamp(note.time)
            $0.reportingController = controller
            $0.reportingInstance = instance
            $0.action = note.action
            $0.reason = note.reason
            $0.regarding = note.regarding
            $0.related = note.related
            $0.note = note.text.cut(toBytes: 1024)
            $0.type = note.kind.rawValue
        }
    }

    private func generatedName(_ note: EventNote) -> String {
        // As client-go does it: the object's name, then the time in base 16.
        let suffix = String(UInt64(bitPattern: note.time.microseconds), radix: 16)
        let hash = StableHash.hex32(note.reason + "\u{0}" + note.text)
        return "\((note.regarding.name ?? "event").prefix(200)).\(suffix).\(hash)"
    }
}

extension ObjectReference {
    fileprivate var withoutVersion: ObjectReference {
        var reference = self
        reference.resourceVersion = nil
        return reference
    }
}
