import Logging
import NetworkAPI
import NetworkModel
import SiteConfiguration
import Synchronization

/// Applies what the files of a plain site say, whole or not at all, and remembers why not.
final class SiteApplier: Sendable {
    /// What holds, and what is wrong with the files now.
    struct State: Sendable {
        var generation: UInt64 = 0
        /// The objects of the configuration that is applied.
        var manifests = Manifests()
        var site: Site?
        var configuration: SiteConfiguration?
        /// Empty while the files are applied.
        var problems: [ManifestProblem] = []
    }

    private let directory: SiteDirectory
    private let siteID: SiteID
    private let snapshotKey: String
    private let dataPlane: any DataPlane
    private let logger: Logger
    private let current = Mutex(State())

    init(
        directory: SiteDirectory,
        siteID: SiteID,
        snapshotKey: String,
        dataPlane: any DataPlane,
        logger: Logger
    ) {
        self.directory = directory
        self.siteID = siteID
        self.snapshotKey = snapshotKey
        self.dataPlane = dataPlane
        self.logger = logger
    }

    var state: State { current.withLock { $0 } }

    /// Reads the files again and applies them if they differ and are good.
    func readAgain() {
        let reading = directory.read(siteID: siteID)
        if let configuration = reading.configuration {
            apply(reading, configuration)
        } else {
            refuse(reading.problems)
        }
    }

    func apply(_ reading: SiteDirectory.Reading, _ configuration: SiteConfiguration) {
        let (generation, wasRefused) = current.withLock { state in
            let wasRefused = !state.problems.isEmpty
            state.problems = []
            state.manifests = reading.manifests
            state.site = reading.site
            guard state.configuration != configuration || wasRefused else {
                return (UInt64?.none, false)
            }
            state.configuration = configuration
            state.generation += 1
            // Under the lock, so that generations reach the data plane in order.
            dataPlane.apply(
                ConfigurationDocument(
                    generation: state.generation,
                    snapshotKey: snapshotKey,
                    configuration: configuration
                )
            )
            return (state.generation, wasRefused)
        }
        guard let generation else { return }
        logger.notice(
            wasRefused ? "the files are good again and applied" : "configuration applied",
            metadata: [
                "generation": "\(generation)", "links": "\(configuration.links.count)",
                "services": "\(configuration.services.count)",
            ]
        )
    }

    private func refuse(_ problems: [ManifestProblem]) {
        let isNews = current.withLock { state in
            defer { state.problems = problems }
            return state.problems != problems
        }
        guard isNews else { return }
        for problem in problems { logger.error("\(problem)") }
        logger.error("the files are not applied; the last good configuration stays")
        dataPlane.reportConfigurationError(problems.map(\.description).joined(separator: "\n"))
    }
}
