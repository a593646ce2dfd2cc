import Certificates
import FoundationEssentials
import KubernetesAPI
import Logging
import ManifestReading
import NetworkAPI
import NetworkModel
import Proxy
import ProxyContract
import SiteFolder
import Synchronization

/// A site without Kubernetes: its manifests are files.
struct SiteRun: Sendable {
    private let site: PlainSiteOptions
    private let directory: SiteDirectory
    private let place: SiteState
    private let options: RunOptions
    private let admin: Admin
    private let logger: Logger

    init(
        _ site: PlainSiteOptions,
        _ place: SiteState,
        _ options: RunOptions,
        _ admin: Admin,
        _ logger: Logger
    ) {
        self.site = site
        self.place = place
        directory = SiteDirectory(
            path: site.directory,
            bind: options.bind.map { "\($0)" },
            state: place.path
        )
        self.options = options
        self.admin = admin
        self.logger = logger
    }

    func serve(until signals: Signals) async throws -> ProxyProcess.Ending {
        let (authority, snapshotKey) = try identity()
        for folder in [place.grants.path, place.tokens.path] {
            // What is not there is not watched, but looked at every ten seconds.
            try? Files.makeDirectory(folder, mode: 0o700)
        }
        let (reading, configuration, problems) = try firstReading(authority.siteID)
        let linkPort = reading.site?.spec.linkAccess?.port ?? LinkAccess.standardPort
        let first = try authority.issueLeaf(role: .gateway, now: Date())
        let proxy = try makeProxy(configuration, linkPort: linkPort, first)
        try proxy.start()
        logger.info(
            "plain site started",
            metadata: ["site": "\(authority.siteID)", "proxy": "\(proxy.id)"]
        )
        let leaf = CurrentLeaf(first)
        let applier = SiteApplier(
            directory: directory,
            keeper: place,
            siteID: authority.siteID,
            snapshotKey: snapshotKey,
            linkPort: linkPort,
            dataPlane: proxy,
            logger: logger
        )
        applier.apply(reading, configuration)
        if !problems.isEmpty { applier.refuse(problems) }
        admin.attach(
            proxy,
            snapshotKey: { snapshotKey },
            certificates: { CertificateEnds(chainPEM: leaf.chain) }
        )
        let status = SiteStatusWriter(
            state: place,
            siteID: authority.siteID,
            logger: logger
        )
        let writer = FileThread("status")
        return await ProxyProcess.serve(
            proxy,
            admin,
            until: signals,
            logger,
            work: followFiles(applier, proxy, signals) + [
                {
                    await withTaskExecutorPreference(writer) {
                        await status.follow(proxy, applier)
                    }
                },
                { await renew(leaf, proxy) },
            ]
        )
    }

    /// Who the site is, and the key of its snapshots.
    private func identity() throws -> (SiteAuthority, snapshotKey: String) {
        do {
            let authority = try place.authority(now: Date(), renew: site.renewsIdentity)
            return (authority, try place.snapshotKey())
        } catch let problem as FileProblem where problem.isPassing {
            throw problem
        } catch {
            throw UnusableSite(lines: ["\(error)"])
        }
    }

    private func makeProxy(
        _ configuration: SiteConfiguration,
        linkPort: UInt16,
        _ leaf: LeafCertificate
    ) throws -> Proxy {
        try Proxy(
            options: ProxyOptions(
                role: .gateway(mesh: nil),
                bind: options.bind,
                linkPort: linkPort,
                // Nobody is inside: a plain site is one proxy, and makes no certificates for sidecars.
                internalPort: nil,
                admin: options.admin,
                loops: options.loops ?? (configuration.loops > 0 ? configuration.loops : nil),
                predecessors: InstanceRecord(folder: place.path, logger: logger).begin,
                record: options.record
            ),
            credentials: leaf.proxyCredentials
        )
    }

    /// Reads the manifests again when they change, and on SIGHUP, and writes down who came by a token, on a thread of their own.
    private func followFiles(
        _ applier: SiteApplier,
        _ proxy: any DataPlane,
        _ signals: Signals
    ) -> [@Sendable () async -> Void] {
        let reader = FileThread("manifests")
        return [
            {
                await withTaskExecutorPreference(reader) {
                    let watch = DirectoryWatch(
                        directories: [directory.path, place.grants.path, place.tokens.path],
                        settle: .milliseconds(100)
                    )
                    await watch.forEachChange {
                        applier.readAgain()
                        return applier.state.isUnfinished ? .seconds(1) : nil
                    }
                }
            },
            {
                await withTaskExecutorPreference(reader) {
                    for await _ in signals.hangups {
                        logger.notice("SIGHUP: reading the files again")
                        applier.readAgain()
                    }
                }
            },
            {
                await withTaskExecutorPreference(reader) {
                    await PlainJoins(place.grants, logger).follow(proxy, applier)
                }
            },
        ]
    }

    /// The configuration to begin with: what the files say, or, when they cannot be used, what they said last, with the
    /// problems.
    private func firstReading(
        _ siteID: SiteID
    ) throws -> (SiteDirectory.Reading, SiteConfiguration, [ManifestProblem]) {
        let kept = place.lastGoodTexts()
        let reading = directory.read(siteID: siteID, held: Set(kept?.keys ?? [:].keys))
        if let configuration = reading.configuration { return (reading, configuration, []) }
        if let kept {
            let last = directory.read(texts: kept, siteID: siteID)
            if let configuration = last.configuration {
                return (last, configuration, reading.problems)
            }
        }
        throw UnusableSite(lines: reading.problems.map(\.description))
    }

    /// Gives the proxy a new leaf at two thirds of the old one's life, and when the site's CA has another certificate for its key.
    private func renew(_ leaf: CurrentLeaf, _ proxy: any DataPlane) async {
        while !Task.isCancelled {
            // In short steps: a machine may sleep, and its clock may jump.
            try? await Task.sleep(for: .seconds(60))
            guard !Task.isCancelled else { return }
            do {
                let authority = try place.authority(now: Date())
                guard
                    LeafCertificate.needsRenewal(chainPEM: leaf.chain, now: Date())
                        || !authority.hasIssued(
                            chainPEM: leaf.chain,
                            keyPEM: leaf.key,
                            role: .gateway
                        )
                else { continue }
                let next = try authority.issueLeaf(role: .gateway, now: Date())
                try proxy.setCredentials(next.proxyCredentials)
                leaf.replace(with: next)
                logger.info("certificate renewed", metadata: ["until": "\(next.notAfter)"])
            } catch {
                logger.error("the certificate cannot be renewed: \(error)")
            }
        }
    }
}

/// The leaf that the proxy of a plain site uses.
final class CurrentLeaf: Sendable {
    private let leaf: Mutex<LeafCertificate>

    init(_ leaf: LeafCertificate) { self.leaf = Mutex(leaf) }

    var chain: String { leaf.withLock { $0.chainPEM } }
    var key: String { leaf.withLock { $0.keyPEM } }

    func replace(with next: LeafCertificate) { leaf.withLock { $0 = next } }
}

extension LeafCertificate {
    fileprivate var proxyCredentials: ProxyCredentials {
        ProxyCredentials(certificateChain: chainPEM, privateKey: keyPEM)
    }
}
