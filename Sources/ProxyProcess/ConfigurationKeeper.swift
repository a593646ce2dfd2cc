import FoundationEssentials
import Logging
import ProxyContract
import Synchronization

/// Decides which of the configurations that come from several sources is applied.
///
/// The one of the highest generation wins; an older one is never applied. A head whose parts are not at hand waits for them,
/// and what is applied stays meanwhile. What is applied is kept for a restart.
final class ConfigurationKeeper: Sendable {
    enum Source: String, Sendable {
        case state, mounted, watched
    }

    /// A part that the newest head names and nobody has read.
    struct MissingPart: Equatable, Sendable {
        var generation: UInt64
        var index: Int
        var digest: String
    }

    private struct Waiting {
        var head: ConfigurationHead
        /// The head as it came; nil: as it was kept.
        var bytes: Data?
        var source: Source
    }

    /// What was applied, and what has to be kept of it.
    private struct Applied {
        var document: ConfigurationDocument
        var waited: Waiting
    }

    private struct State {
        var generation: UInt64?
        var snapshotKey = ""
        var error: String?
        /// The parts that are applied, in order.
        var applied: [ConfigurationPart] = []
        /// The newest head, while parts of it are missing.
        var waiting: Waiting?
        /// The head that was read last, as it came: the mounted one follows the watched one with the same bytes.
        var lastHead: Data?
        /// Read for it already, by digest.
        var read: [String: ConfigurationPart] = [:]

        func part(_ digest: String, _ known: [String: ConfigurationPart]) -> ConfigurationPart? {
            known[digest] ?? read[digest]
        }

        var known: [String: ConfigurationPart] {
            Dictionary(applied.map { ($0.digest, $0) }) { first, _ in first }
        }
    }

    private let dataPlane: any DataPlane
    private let directory: StateDirectory?
    private let logger: Logger
    private let state = Mutex(State())
    private let news = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    init(dataPlane: any DataPlane, directory: StateDirectory?, logger: Logger) {
        self.dataPlane = dataPlane
        self.directory = directory
        self.logger = logger
    }

    /// The generation that was applied last; nil before the first one.
    var generation: UInt64? { state.withLock { $0.generation } }

    /// The key of `GET /v1/snapshot`; empty before the first configuration: nobody may ask.
    var snapshotKey: String { state.withLock { $0.snapshotKey } }

    /// Told whenever parts are missing; for one listener.
    var partNews: AsyncStream<Void> { news.stream }

    /// The parts that the newest head waits for.
    var missing: [MissingPart] {
        state.withLock { state in
            guard let head = state.waiting?.head else { return [] }
            let known = state.known
            return (head.parts ?? []).enumerated().compactMap { index, digest in
                guard state.part(digest, known) == nil else { return nil }
                return MissingPart(generation: head.generation, index: index, digest: digest)
            }
        }
    }

    /// Takes in what a source holds; what does not decode is reported and changes nothing.
    func offer(_ bytes: Data, from source: Source) {
        do {
            guard state.withLock({ $0.lastHead != bytes }) else { return }
            offer(
                Waiting(head: try ConfigurationHead.decode(bytes), bytes: bytes, source: source)
            )
            state.withLock { $0.lastHead = bytes }
        } catch {
            report("the configuration (\(source.rawValue)) cannot be read: \(error)")
        }
    }

    /// Takes in what was kept.
    func restore(_ document: ConfigurationDocument) {
        state.withLock { state in
            for part in document.parts ?? [] { state.read[part.digest] = part }
        }
        offer(Waiting(head: document.head, source: .state))
    }

    private func offer(_ new: Waiting) {
        let applied = state.withLock { state in
            if let generation = state.generation, new.head.generation <= generation {
                return Applied?.none
            }
            if let waiting = state.waiting?.head, new.head.generation <= waiting.generation {
                return nil
            }
            state.waiting = new
            return applyIfWhole(&state)
        }
        finish(applied)
    }

    /// Takes the content of a part that was missing; what is no such part is reported and changes nothing.
    func take(_ bytes: Data, for part: MissingPart) {
        do {
            let last = state.withLock { state in
                state.applied.indices.contains(part.index) ? state.applied[part.index] : nil
            }
            let found = try ConfigurationPart(bytes, last: last)
            guard found.digest == part.digest else {
                throw ConfigurationProblem("its content is not what its name says")
            }
            let applied = state.withLock { state in
                // A newer head may have come meanwhile.
                guard state.waiting?.head.parts?.contains(part.digest) == true
                else { return Applied?.none }
                state.read[part.digest] = found
                return applyIfWhole(&state)
            }
            finish(applied)
        } catch {
            report("part \(part.index) of the configuration cannot be read: \(error)")
        }
    }

    /// Says why the newest configuration is not applied.
    func report(_ message: String) {
        let isNew = state.withLock { state in
            defer { state.error = message }
            return state.error != message
        }
        guard isNew else { return }
        logger.error("\(message)")
        dataPlane.reportConfigurationError(message)
    }

    /// Applied under the lock, so that two sources cannot overtake each other.
    private func applyIfWhole(_ state: inout State) -> Applied? {
        guard let waited = state.waiting else { return nil }
        let known = state.known
        guard let document = waited.head.document(parts: { state.part($0, known) }) else {
            // What else was read is of heads that are gone.
            let wanted = Set(waited.head.parts ?? [])
            state.read = state.read.filter { wanted.contains($0.key) }
            news.continuation.yield()
            return nil
        }
        state.generation = document.generation
        state.snapshotKey = document.snapshotKey
        state.error = nil
        state.applied = document.parts ?? []
        state.waiting = nil
        state.read = [:]
        dataPlane.apply(document)
        return Applied(document: document, waited: waited)
    }

    private func finish(_ applied: Applied?) {
        guard let applied else { return }
        let (document, waited) = (applied.document, applied.waited)
        logger.info(
            "configuration applied",
            metadata: [
                "generation": "\(document.generation)", "source": "\(waited.source.rawValue)",
                "links": "\(document.configuration.links.count)",
                "services": "\(document.serviceCount)",
            ]
        )
        if let head = waited.bytes { directory?.save(head: head, parts: document.parts ?? []) }
    }
}
