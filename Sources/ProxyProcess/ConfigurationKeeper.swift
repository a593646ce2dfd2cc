import FoundationEssentials
import Logging
import SiteConfiguration
import Synchronization

/// Decides which of the configurations that come from several sources is applied.
///
/// The one of the highest generation wins; an older one is never applied. What is applied is kept for a restart.
final class ConfigurationKeeper: Sendable {
    enum Source: String, Sendable {
        case state, mounted, watched
    }

    private struct State {
        var generation: UInt64?
        var snapshotKey = ""
        var error: String?
    }

    private let dataPlane: any DataPlane
    private let directory: StateDirectory?
    private let logger: Logger
    private let state = Mutex(State())

    init(dataPlane: any DataPlane, directory: StateDirectory?, logger: Logger) {
        self.dataPlane = dataPlane
        self.directory = directory
        self.logger = logger
    }

    /// The generation that was applied last; nil before the first one.
    var generation: UInt64? { state.withLock { $0.generation } }

    /// The key of `GET /v1/snapshot`; empty before the first configuration: nobody may ask.
    var snapshotKey: String { state.withLock { $0.snapshotKey } }

    /// Takes in what a source holds; what does not decode is reported and changes nothing.
    func offer(_ bytes: Data, from source: Source) {
        let document: ConfigurationDocument
        do {
            document = try ConfigurationDocument.decode(bytes)
        } catch {
            let message = "the configuration (\(source.rawValue)) cannot be read: \(error)"
            let isNew = state.withLock { state in
                defer { state.error = message }
                return state.error != message
            }
            if isNew {
                logger.error("\(message)")
                dataPlane.reportConfigurationError(message)
            }
            return
        }
        offer(document, from: source)
    }

    func offer(_ document: ConfigurationDocument, from source: Source) {
        // Applied under the lock, so that two sources cannot overtake each other.
        let isApplied = state.withLock { state in
            if let generation = state.generation, document.generation <= generation { return false }
            state.generation = document.generation
            state.snapshotKey = document.snapshotKey
            state.error = nil
            dataPlane.apply(document)
            return true
        }
        guard isApplied else { return }
        logger.info(
            "configuration applied",
            metadata: [
                "generation": "\(document.generation)", "source": "\(source.rawValue)",
                "links": "\(document.configuration.links.count)",
                "services": "\(document.configuration.services.count)",
            ]
        )
        if source != .state { directory?.save(document) }
    }
}
