import FoundationEssentials
import Glibc
import KubernetesAPI
import Logging
import ManifestReading
import NetworkAPI
import NetworkModel
import ProxyContract
import SiteFolder
import StatusSummaries
import Telemetry

/// Writes the statuses of a plain site's objects to the folder `status` of its state, one JSON file each, in the form of the API.
struct SiteStatusWriter: Sendable {
    private let folder: String
    private let siteID: SiteID
    private let logger: Logger

    init(state: SiteState, siteID: SiteID, logger: Logger) {
        folder = state.statusFolder
        self.siteID = siteID
        self.logger = logger
    }

    /// What is in the files.
    private struct Written {
        var bytes: [String: Data] = [:]
        var site: [String: SiteStatus] = [:]
        var links: [String: LinkStatus] = [:]
        var services: [String: ServiceStatus] = [:]
        /// Which failovers of each Service later records may belong to.
        var failovers: [String: FailoverLedger] = [:]
        /// Why the last attempt to write failed.
        var problem = LastingProblem()
    }

    /// Writes what changed, at most twice a second, until the task is canceled.
    func follow(_ dataPlane: any DataPlane, _ applier: SiteApplier) async {
        Files.removeTemporaries(in: folder)
        var written = load()
        var version: UInt64 = 0
        while !Task.isCancelled {
            let snapshot = await dataPlane.snapshot(after: version, limit: .seconds(1))
            version = snapshot.version
            write(
                PlainStatus(
                    state: applier.state,
                    snapshot: snapshot,
                    isReady: dataPlane.isReady,
                    siteID: siteID,
                    now: Timestamp(seconds: Timestamp.now().seconds)
                ),
                &written
            )
            try? await Task.sleep(for: .milliseconds(500))
        }
    }

    private func write(_ plain: PlainStatus, _ written: inout Written) {
        var wanted: [String: Data] = [:]
        var links: [LinkStatus] = []
        for var link in plain.state.manifests.links {
            let name = link.metadata.name
            link.status = written.links[name] ?? LinkStatus()
            link.status = plain.link(link)
            written.links[name] = link.status
            links.append(link.status)
            add(link, to: &wanted)
        }
        var services: [ServiceStatus] = []
        for var service in plain.state.manifests.services {
            let name = service.metadata.name
            service.status = written.services[name] ?? ServiceStatus()
            let last = service.status.lastFailover.map { [Failover($0)] } ?? []
            var ledger = written.failovers[name] ?? FailoverLedger(recent: last)
            service.status = plain.service(service, ledger: &ledger)
            written.failovers[name] = ledger
            written.services[name] = service.status
            services.append(service.status)
            add(service, to: &wanted)
        }
        if var site = plain.state.site {
            let name = site.metadata.name
            site.status = written.site[name] ?? SiteStatus()
            site.status = plain.site(site, links: links, services: services)
            written.site[name] = site.status
            add(site, to: &wanted)
        }
        replace(with: wanted, &written)
    }

    private func add(_ object: some NetworkObject, to wanted: inout [String: Data]) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let kind = type(of: object).resource.kind.lowercased()
        do {
            wanted["\(kind)-\(object.metadata.name).json"] =
                try encoder.encode(Envelope(object)) + Data("\n".utf8)
        } catch {
            logger.error("a status does not encode: \(error)")
        }
    }

    /// Makes the folder hold exactly these files.
    private func replace(with wanted: [String: Data], _ written: inout Written) {
        var problem: (any Error)?
        do {
            try Files.makeDirectory(folder, mode: 0o755)
            for (name, data) in wanted where written.bytes[name] != data {
                // Written anew all the time: not worth waiting for the disk.
                try Files.replace("\(folder)/\(name)", with: data, mode: 0o644, durable: false)
                written.bytes[name] = data
            }
        } catch {
            problem = error
        }
        switch written.problem.take(problem) {
        case .began(let text)?:
            logger.warning("no status can be written", metadata: ["error": "\(text)"])
        case .ended?: logger.notice("statuses can be written again")
        case nil: break
        }
        for name in written.bytes.keys where wanted[name] == nil {
            _ = unsafe unlink("\(folder)/\(name)")
            written.bytes[name] = nil
        }
    }

    /// Reads what an earlier process wrote: counters go on from there.
    private func load() -> Written {
        var written = Written()
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasSuffix(".json") {
            guard let data = try? Files.read("\(folder)/\(name)") else { continue }
            written.bytes[name] = data
            let decoder = JSONDecoder()
            if name.hasPrefix("link-"), let link = try? decoder.decode(Link.self, from: data) {
                written.links[link.metadata.name] = link.status
            } else if name.hasPrefix("service-"),
                let service = try? decoder.decode(Service.self, from: data)
            {
                written.services[service.metadata.name] = service.status
            } else if name.hasPrefix("site-"),
                let site = try? decoder.decode(Site.self, from: data)
            {
                written.site[site.metadata.name] = site.status
            }
        }
        return written
    }
}
