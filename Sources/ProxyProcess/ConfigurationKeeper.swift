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

    private struct State {
        var generation: UInt64?
        var snapshotKey = ""
        var error: String?
        /// The parts that are applied, in order.
        var applied: [ConfigurationPart] = []
        /// The newest head, while parts of it are missing.
        var waiting: (head: ConfigurationHead, source: Source)?
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
            offer(try ConfigurationHead.decode(bytes), from: source)
            state.withLock { $0.lastHead = bytes }
        } catch {
            report("the configuration (\(source.rawValue)) cannot be read: \(error)")
        }
    }

    func offer(_ document: ConfigurationDocument, from source: Source) {
        state.withLock { state in
            for part in document.parts ?? [] { state.read[part.digest] = part }
        }
        offer(document.head, from: source)
    }

    private func offer(_ head: ConfigurationHead, from source: Source) {
        let applied = state.withLock { state in
            if let generation = state.generation, head.generation <= generation {
                return ConfigurationDocument?.none
            }
            if let waiting = state.waiting?.head, head.generation <= waiting.generation {
                return nil
            }
            state.waiting = (head, source)
            return applyIfWhole(&state)
        }
        finish(applied, source)
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
            let (applied, source) = state.withLock { state in
                // A newer head may have come meanwhile.
                guard let waiting = state.waiting, waiting.head.parts?.contains(part.digest) == true
                else { return (ConfigurationDocument?.none, Source.watched) }
                state.read[part.digest] = found
                return (applyIfWhole(&state), waiting.source)
            }
            finish(applied, source)
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
    private func applyIfWhole(_ state: inout State) -> ConfigurationDocument? {
        guard let head = state.waiting?.head else { return nil }
        let known = state.known
        guard let document = head.document(parts: { state.part($0, known) }) else {
            // What else was read is of heads that are gone.
            let wanted = Set(head.parts ?? [])
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
        return document
    }

    private func finish(_ applied: ConfigurationDocument?, _ source: Source) {
        guard let applied else { return }
        logger.info(
            "configuration applied",
            metadata: [
                "generation": "\(applied.generation)", "source": "\(source.rawValue)",
                "links": "\(applied.configuration.links.count)",
                "services": "\(applied.serviceCount)",
            ]
        )
        if source != .state { directory?.save(applied) }
    }
}
