import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import Synchronization

/// What the server last told of a Secret, without its content.
enum SecretSighting: Equatable, Sendable {
    case there(version: String)
    /// It was not there at that version of the collection.
    case absent(at: String?)

    /// Whether the Secret is another one than what is known of it.
    ///
    /// A sighting from before a write of ours says nothing against what was written.
    func contradicts(_ known: Core.Secret?) -> Bool {
        let version = known?.metadata.resourceVersion
        switch self {
        case .there(let seen):
            guard let version else { return true }
            return version != seen && ResourceVersion.isOlder(version, than: seen) ?? true
        case .absent(let seen):
            guard known != nil else { return false }
            guard let version, let seen else { return true }
            return ResourceVersion.isOlder(version, than: seen) ?? true
        }
    }
}

/// Watches Secrets by their names, for their metadata alone: what changes is read again, and nothing else is.
///
/// The controller may read exactly these names, in the namespaces of Sites, so each is a watch of its own: a stream on a
/// connection that is there. A watch that the server refuses tells nothing: what was read stays known.
final class SecretWatches: Sendable {
    /// What a transport takes beside its other streams; Secrets beyond are read again from time to time.
    static let limit = 500
    /// How long what was heard may be a write of ours, whose answer is on its way.
    private static let patience: Duration = .milliseconds(200)

    private struct Watched {
        /// Another one for each watch, so that what an earlier one says late is not taken for this one's word.
        var number: Int
        var task: Task<Void, Never>
        /// Whether the watch is open: only then nothing escapes it.
        var isOpen = false
        var seen: SecretSighting?
        /// As last read or written.
        var known: Core.Secret?
    }

    private let client: KubernetesClient
    private let inputs: Inputs
    private let logger: Logger
    private let changed: @Sendable (_ namespace: String) -> Void
    private let watched = Mutex<[ObjectKey: Watched]>([:])
    private let begun = Atomic(0)

    /// Calls `changed` with the namespace of a Secret that is another one than what is known.
    init(
        client: KubernetesClient,
        inputs: Inputs,
        logger: Logger,
        changed: @escaping @Sendable (_ namespace: String) -> Void
    ) {
        self.client = client
        self.inputs = inputs
        self.logger = logger
        self.changed = changed
    }

    /// Until the task is canceled; then all watches end.
    func run() async {
        let (forever, _) = AsyncStream<Never>.makeStream()
        for await _ in forever {}
        let tasks = watched.withLock { watched in
            defer { watched = [:] }
            for key in watched.keys { inputs.forget(.secret(key)) }
            return watched.values.map(\.task)
        }
        for task in tasks {
            task.cancel()
            await task.value
        }
    }

    /// Watches exactly these Secrets of a namespace.
    func follow(_ names: [String], in namespace: String) {
        watched.withLock { watched in
            for (key, entry) in watched
            where key.namespace == namespace && !names.contains(key.name) {
                entry.task.cancel()
                watched[key] = nil
                inputs.forget(.secret(key))
            }
            for name in names {
                let key = ObjectKey(namespace: namespace, name: name)
                guard watched[key] == nil, watched.count < Self.limit else { continue }
                let number = begun.add(1, ordering: .relaxed).newValue
                watched[key] = Watched(number: number, task: Task { await watch(key, number) })
            }
        }
    }

    /// Ends the watches of a namespace.
    func forget(_ namespace: String) { follow([], in: namespace) }

    /// Whether the server tells of every change of that Secret.
    func hears(of key: ObjectKey) -> Bool {
        watched.withLock { $0[key].map { $0.isOpen && $0.seen != nil } ?? false }
    }

    /// Whether there is a watch for it, open or not.
    func follows(_ key: ObjectKey) -> Bool { watched.withLock { $0[key] != nil } }

    /// Whether what is known of a Secret is out of date.
    func contradict(_ known: Core.Secret?, at key: ObjectKey) -> Bool {
        watched.withLock { $0[key]?.seen?.contradicts(known) ?? false }
    }

    /// Takes what was read, or is stored after a write.
    func note(_ known: Core.Secret?, at key: ObjectKey) {
        watched.withLock { $0[key]?.known = known }
    }

    private func take(_ health: ReflectorHealth, of key: ObjectKey, _ number: Int) {
        watched.withLock { watched in
            guard watched[key]?.number == number else { return }
            watched[key]?.isOpen = health == .following
            inputs.note(.secret(key), health)
        }
    }

    private func watch(_ key: ObjectKey, _ number: Int) async {
        var reflector = Reflector<Core.SecretMetadata>(
            client: client,
            scope: .object(key),
            logger: logger
        )
        // Each renewal is a request of each Secret of each site.
        reflector.settings.watchSeconds = 1800...3600
        reflector.health = { [self] in take($0, of: key, number) }
        let (sightings, told) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withDiscardingTaskGroup { [reflector] group in
            group.addTask {
                await reflector.run { event in
                    guard let sighting = SecretSighting(event, of: key) else { return }
                    self.watched.withLock { $0[key]?.seen = sighting }
                    told.yield()
                }
                told.finish()
            }
            for await _ in sightings {
                guard (try? await Task.sleep(for: Self.patience)) != nil else { break }
                let isNews = watched.withLock { watched in
                    guard let entry = watched[key], let seen = entry.seen else { return false }
                    return seen.contradicts(entry.known)
                }
                if isNews, let namespace = key.namespace { changed(namespace) }
            }
        }
    }
}

extension SecretSighting {
    /// Nil when the event says nothing of that Secret.
    fileprivate init?(_ event: ReflectorEvent<Core.SecretMetadata>, of key: ObjectKey) {
        switch event {
        case .replaced(let objects, let undecodable, let version):
            let found =
                objects.first { $0.key == key }?.metadata
                ?? undecodable.first { $0.key == key }?.metadata
            self = found.map(SecretSighting.init) ?? .absent(at: version)
        case .put(let object): self.init(object.metadata)
        case .undecodable(let failure): self.init(failure.metadata)
        case .removed(let object): self = .absent(at: object.metadata.resourceVersion)
        case .removedUndecodable: self = .absent(at: nil)
        case .progressed: return nil
        }
    }

    private init(_ metadata: ObjectMeta) {
        self = .there(version: metadata.resourceVersion ?? "")
    }
}
