import KubernetesAPI
import Logging
import ManifestReading
import NetworkAPI
import NetworkModel
import ProxyContract
import SiteFolder
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
        var tokens = TokenFolder.Contents()
        /// Empty while the files are applied.
        var problems: [ManifestProblem] = []
        /// A file is being written: another look soon is worth it.
        var isUnfinished = false
        /// Why the applied files cannot be kept for a restart.
        var keepProblem = LastingProblem()

        /// What is wrong with the file that an applied object stands in; nil while nothing is.
        func problem(of kind: ObjectKind, _ name: String) -> ManifestProblem? {
            guard let file = manifests.file(of: kind, name) else { return nil }
            return problems.first { $0.file == file }
        }

        /// Why the token of a Link cannot be used; nil while it can.
        func tokenProblem(_ name: String) -> String? {
            guard tokens.tokens[name] == nil else { return nil }
            return tokens.problems[name]
                ?? "there is no token \(name) in the state of this site: give it with tieline token redeem FILE --site-dir DIR"
        }
    }

    private let directory: SiteDirectory
    private let keeper: SiteState?
    private let siteID: SiteID
    private let snapshotKey: String
    /// Where the proxy listens for links; fixed at its start.
    private let linkPort: UInt16
    private let dataPlane: any DataPlane
    private let logger: Logger
    private let current = Mutex(State())

    init(
        directory: SiteDirectory,
        keeper: SiteState? = nil,
        siteID: SiteID,
        snapshotKey: String,
        linkPort: UInt16 = LinkAccess.standardPort,
        dataPlane: any DataPlane,
        logger: Logger
    ) {
        self.directory = directory
        self.keeper = keeper
        self.siteID = siteID
        self.snapshotKey = snapshotKey
        self.linkPort = linkPort
        self.dataPlane = dataPlane
        self.logger = logger
    }

    var state: State { current.withLock { $0 } }

    /// Reads the files again and applies them if they differ and are good.
    func readAgain() {
        let reading = directory.read(siteID: siteID, held: state.manifests.fileNames)
        current.withLock { $0.isUnfinished = reading.isUnfinished }
        if let moved = movedPort(reading) {
            refuse([moved])
        } else if let configuration = reading.configuration {
            apply(reading, configuration)
        } else {
            refuse(reading.problems)
        }
    }

    private func movedPort(_ reading: SiteDirectory.Reading) -> ManifestProblem? {
        guard let site = reading.site, let port = site.spec.linkAccess?.port, port != linkPort
        else {
            return nil
        }
        return reading.manifests.problem(
            for: Finding(
                object: FoundObject(kind: .site, name: site.metadata.name),
                field: "spec.linkAccess.port",
                reason: .invalid,
                message:
                    "this proxy listens for links on \(linkPort) since its start; restart it to change that"
            )
        )
    }

    func apply(_ reading: SiteDirectory.Reading, _ configuration: SiteConfiguration) {
        let (generation, wasRefused) = current.withLock { state in
            let wasRefused = !state.problems.isEmpty
            state.problems = []
            state.manifests = reading.manifests
            state.site = reading.site
            state.tokens = reading.tokens
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
        if generation != nil || state.keepProblem.isLasting {
            keep(reading.texts.filter { reading.manifests.fileNames.contains($0.key) })
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

    /// Keeps the files for a restart that finds them broken.
    private func keep(_ texts: [String: String]) {
        guard let keeper else { return }
        var problem: (any Error)?
        do { try keeper.keep(texts) } catch { problem = error }
        switch current.withLock({ $0.keepProblem.take(problem) }) {
        case .began(let text)?:
            logger.warning("the applied files cannot be kept", metadata: ["error": "\(text)"])
        case .ended?: logger.notice("the applied files can be kept again")
        case nil: break
        }
    }

    func refuse(_ problems: [ManifestProblem]) {
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
