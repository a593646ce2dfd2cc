import Certificates
import FoundationEssentials
import KubernetesAPI
import Logging
import NetworkAPI
import NetworkModel
import Proxy
import SiteConfiguration
import Synchronization

/// A site without Kubernetes: its manifests are files.
struct SiteRun: Sendable {
    private let directory: SiteDirectory
    private let options: RunOptions
    private let admin: Admin
    private let logger: Logger

    init(_ path: String, _ options: RunOptions, _ admin: Admin, _ logger: Logger) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        directory = SiteDirectory(path: path, bind: options.bind.map { "\($0)" })
        self.options = options
        self.admin = admin
        self.logger = logger
    }

    func serve(until signals: Signals) async throws -> ProxyProcess.Ending {
        let authority: SiteAuthority
        let snapshotKey: String
        do {
            authority = try directory.authority(now: Date())
            snapshotKey = try directory.snapshotKey()
        } catch {
            throw UnusableSite(lines: ["\(error)"])
        }
        let reading = directory.read(siteID: authority.siteID)
        guard let configuration = reading.configuration else {
            throw UnusableSite(lines: reading.problems.map(\.description))
        }
        let linkPort = reading.site?.spec.linkAccess?.port ?? LinkAccess.standardPort
        let first = try authority.issueLeaf(role: .gateway, now: Date())
        let proxy = try Proxy(
            options: ProxyOptions(
                role: .gateway(mesh: nil),
                bind: options.bind,
                linkPort: linkPort,
                admin: options.admin,
                loops: options.loops ?? (configuration.loops > 0 ? configuration.loops : nil)
            ),
            credentials: first.proxyCredentials
        )
        try proxy.start()
        logger.info(
            "plain site started",
            metadata: ["site": "\(authority.siteID)", "proxy": "\(proxy.id)"]
        )
        let leaf = CurrentLeaf(first)
        let applier = SiteApplier(
            directory: directory,
            siteID: authority.siteID,
            snapshotKey: snapshotKey,
            linkPort: linkPort,
            dataPlane: proxy,
            logger: logger
        )
        applier.apply(reading, configuration)
        admin.attach(
            proxy,
            snapshotKey: { snapshotKey },
            certificateEnd: { leaf.notAfter }
        )
        let status = SiteStatusWriter(
            directory: directory,
            siteID: authority.siteID,
            logger: logger
        )
        return await ProxyProcess.serve(
            proxy,
            admin,
            until: signals,
            logger,
            work: [
                {
                    let watch = DirectoryWatch(
                        directories: [directory.path],
                        settle: .milliseconds(100)
                    )
                    await watch.forEachChange { applier.readAgain() }
                },
                { await status.follow(proxy, applier) },
                { await renew(leaf, authority, proxy) },
            ]
        )
    }

    /// Gives the proxy a new leaf at two thirds of the old one's life.
    private func renew(
        _ leaf: CurrentLeaf,
        _ authority: SiteAuthority,
        _ proxy: any DataPlane
    ) async {
        while !Task.isCancelled {
            // In short steps: a machine may sleep, and its clock may jump.
            try? await Task.sleep(for: .seconds(60))
            guard !Task.isCancelled,
                LeafCertificate.needsRenewal(chainPEM: leaf.chain, now: Date())
            else { continue }
            do {
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
    var notAfter: Date { leaf.withLock { $0.notAfter } }

    func replace(with next: LeafCertificate) { leaf.withLock { $0 = next } }
}

extension LeafCertificate {
    fileprivate var proxyCredentials: ProxyCredentials {
        ProxyCredentials(certificateChain: chainPEM, privateKey: keyPEM)
    }
}
