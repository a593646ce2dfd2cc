import Certificates
import FoundationEssentials
import Glibc
import NetworkAPI
import NetworkModel
import SiteConfiguration
import Telemetry

/// The directory of a plain site: its manifests, its identity, its status.
struct SiteDirectory: Sendable {
    let path: String
    /// The address that listeners bind; nil: every one.
    let bind: String?

    /// What the manifests say.
    struct Reading: Sendable {
        var manifests = Manifests()
        /// Nil when something is wrong.
        var configuration: SiteConfiguration?
        var problems: [ManifestProblem] = []
        var site: Site?
    }

    private static let extensions = [".yaml", ".yml", ".json"]

    /// Reads all manifests; with any problem there is no configuration, so that a change is applied whole or not at all.
    func read(siteID: SiteID) -> Reading {
        var reading = Reading()
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            reading.problems = [
                ManifestProblem(file: path, line: 0, field: "", message: "cannot be read: \(error)")
            ]
            return reading
        }
        for name in names where isManifest(name) {
            let file = "\(path)/\(name)"
            do {
                guard let data = try Files.read(file) else { continue }
                reading.manifests.read(String(decoding: data, as: UTF8.self), file: file)
            } catch {
                reading.manifests.problems.append(
                    ManifestProblem(file: file, line: 0, field: "", message: "\(error)")
                )
            }
        }
        reading.problems = reading.manifests.problems
        compile(&reading, siteID)
        return reading
    }

    private func compile(_ reading: inout Reading, _ siteID: SiteID) {
        let (site, others) = chooseSite(reading.manifests.sites)
        reading.problems += others.map(reading.manifests.problem)
        guard let site else {
            if reading.problems.isEmpty {
                reading.problems.append(
                    ManifestProblem(
                        file: path,
                        line: 0,
                        field: "",
                        message: "there is no Site; add a manifest with apiVersion: "
                            + "\(NetworkGroup.apiVersion), kind: Site and metadata.name"
                    )
                )
            }
            return
        }
        reading.site = site
        let compilation = NetworkAPI.compile(
            site: site,
            siteID: siteID,
            links: reading.manifests.links,
            services: reading.manifests.services,
            listeners: .direct(bind: bind)
        )
        reading.problems += compilation.findings.map(reading.manifests.problem)
        if reading.problems.isEmpty { reading.configuration = compilation.configuration }
    }

    private func isManifest(_ name: String) -> Bool {
        !name.hasPrefix(".") && Self.extensions.contains { name.hasSuffix($0) }
    }

    // MARK: Identity

    private var identity: String { "\(path)/identity" }

    /// The site's authority; made, in one step, when `identity` is absent.
    ///
    /// One that is there and cannot be read is an error: a new key would be a new site to everyone.
    func authority(now: Date) throws -> SiteAuthority {
        if !FileManager.default.fileExists(atPath: identity) {
            let made = try SiteAuthority.make(now: now)
            let temporary = "\(path)/.identity.tmp-\(getpid())"
            try Files.makeDirectory(temporary, mode: 0o700)
            try Files.write("\(temporary)/tls.crt", Data(made.certificatePEM.utf8), mode: 0o644)
            try Files.write("\(temporary)/tls.key", Data(made.keyPEM.utf8), mode: 0o600)
            guard unsafe rename(temporary, identity) == 0 else {
                throw FileProblem(identity, errno)
            }
        }
        guard let certificate = try Files.read("\(identity)/tls.crt"),
            let key = try Files.read("\(identity)/tls.key")
        else {
            throw FileProblem(
                "\(identity) has no tls.crt or no tls.key: restore both, or remove the directory to make a new identity"
            )
        }
        do {
            return try SiteAuthority(
                certificatePEM: String(decoding: certificate, as: UTF8.self),
                keyPEM: String(decoding: key, as: UTF8.self),
                now: now
            )
        } catch {
            throw FileProblem("\(identity): \(error)")
        }
    }

    /// The bearer key of `GET /v1/snapshot`, made when it is absent.
    func snapshotKey() throws -> String {
        let file = "\(identity)/snapshot.key"
        if let data = try Files.read(file) {
            let key = String(decoding: data, as: UTF8.self).filter { !$0.isWhitespace }
            if !key.isEmpty { return key }
        }
        var generator = SystemRandomNumberGenerator()
        let key = Base32.encode((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
        try Files.replace(file, with: Data("\(key)\n".utf8))
        return key
    }
}

/// A plain site without a configuration that could be used at its start.
struct UnusableSite: Error {
    let lines: [String]
}
