import FoundationEssentials
import Glibc
import KubernetesAPI
import NetworkAPI

/// The statuses that the proxy of a plain site writes: one JSON file for each object, in the folder `status` of its state.
struct PlainSiteStatus {
    var report: StatusReport
    /// The state folder.
    let folder: String
    /// Nobody holds the state, so that nobody writes; nil when it cannot be told.
    var isRunning: Bool?

    /// Where a proxy keeps its state when the manifest folder is read-only and nothing else was said.
    private static let standardState = "/var/lib/tieline"

    /// Reads the state in `state`, or where the proxy of the manifest folder has put it.
    init(manifests: String, state: String?) throws {
        let places = state.map { [$0] } ?? [manifests, Self.standardState]
        guard let place = places.first(where: { Self.exists("\($0)/status") }) else {
            let looked = places.map { "\($0)/status" }.joined(separator: " and ")
            throw NotFound(
                "there is no status in \(looked): name the state folder of the proxy with --state, "
                    + "or start it: tieline-proxy run --site-dir \(manifests)"
            )
        }
        folder = place
        report = try Self.read("\(place)/status")
        isRunning = Self.isHeld("\(place)/.lock")
    }

    /// The site that the proxy runs.
    func site() throws -> Site {
        guard let site = report.sites.first else {
            throw NotFound("there is no Site in \(folder)/status yet: start its proxy first")
        }
        return site
    }

    private static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    private static func read(_ folder: String) throws -> StatusReport {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw NotFound("\(folder) cannot be read; may you?")
        }
        var report = StatusReport(sites: [], links: [], services: [])
        for name in names where name.hasSuffix(".json") {
            // Gone since: the object was deleted.
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)") else {
                continue
            }
            do {
                if name.hasPrefix("site-") {
                    report.sites.append(try JSONDecoder().decode(Site.self, from: data))
                } else if name.hasPrefix("link-") {
                    report.links.append(try JSONDecoder().decode(Link.self, from: data))
                } else if name.hasPrefix("service-") {
                    report.services.append(try JSONDecoder().decode(Service.self, from: data))
                }
            } catch {
                throw NotFound("\(folder)/\(name) is not understood: \(error)")
            }
        }
        return report
    }

    /// Whether a process has locked the file, as a proxy does for as long as it runs.
    private static func isHeld(_ path: String) -> Bool? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return false }
        return errno == EWOULDBLOCK ? true : nil
    }
}
