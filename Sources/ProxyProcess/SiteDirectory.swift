import Certificates
import FoundationEssentials
import Glibc
import KubernetesAPI
import ManifestReading
import NetworkAPI
import NetworkModel
import ProxyContract
import SiteFolder

/// The manifests of a plain site.
struct SiteDirectory: Sendable {
    let path: String
    /// The address that listeners bind; nil: every one.
    let bind: String?
    /// Where the site keeps what it issued and was given of tokens; nil: it has none.
    var state: String?

    /// What the manifests say.
    struct Reading: Sendable {
        var manifests = Manifests()
        /// Nil when something is wrong.
        var configuration: SiteConfiguration?
        var problems: [ManifestProblem] = []
        var site: Site?
        var tokens = TokenFolder.Contents()
        /// What was read, by file name.
        var texts: [String: String] = [:]
        /// A file was being written: it is worth another look soon.
        var isUnfinished = false

        mutating func add(_ file: String, _ message: String) {
            problems.append(ManifestProblem(file: file, line: 0, field: "", message: message))
        }
    }

    private static let extensions = [".yaml", ".yml", ".json"]

    /// Reads all manifests; with any problem there is no configuration, so that a change is applied whole or not at all.
    ///
    /// What cannot be read whole says nothing: an object is gone when its file is gone, or says something without it. A file
    /// of `held`, by name, that says nothing now is a problem.
    func read(siteID: SiteID, held: Set<String> = []) -> Reading {
        var reading = Reading()
        let names: [String]
        do {
            names = try Files.list(path)
        } catch {
            reading.add("", "\(error)")
            return reading
        }
        for name in names where isManifest(name) { read(name, into: &reading, held) }
        interpret(&reading, siteID, held)
        return reading
    }

    /// What these texts, by file name, say.
    func read(texts: [String: String], siteID: SiteID) -> Reading {
        var reading = Reading()
        reading.texts = texts
        interpret(&reading, siteID, [])
        return reading
    }

    private func read(_ name: String, into reading: inout Reading, _ held: Set<String>) {
        do {
            guard let look = try Files.look("\(path)/\(name)") else { return }
            // Where nobody tells us who writes, a fresh file is given two seconds.
            if look.isOpenForWriting ?? (look.age < 2 && held.contains(name)) {
                reading.isUnfinished = true
                reading.add(
                    "\(path)/\(name)",
                    "it is being written; it is read when its writer has closed it"
                )
            }
            reading.texts[name] = try ManifestText.decode(look.data)
        } catch let problem as FileProblem {
            reading.add("", problem.description)
        } catch {
            reading.add("\(path)/\(name)", "\(error)")
        }
    }

    private func interpret(_ reading: inout Reading, _ siteID: SiteID, _ held: Set<String>) {
        for (name, text) in reading.texts.sorted(by: { $0.key < $1.key }) {
            let count = reading.manifests.objectCount
            let problems = reading.manifests.problems.count
            reading.manifests.read(text, file: "\(path)/\(name)")
            if held.contains(name), reading.manifests.objectCount == count,
                reading.manifests.problems.count == problems
            {
                reading.add(
                    "\(path)/\(name)",
                    "it held objects and is empty now; remove the file to delete them"
                )
            }
        }
        reading.problems += reading.manifests.problems
        compile(&reading, siteID)
    }

    private func compile(_ reading: inout Reading, _ siteID: SiteID) {
        let (site, others) = chooseSite(reading.manifests.sites)
        reading.problems += others.map(reading.manifests.problem)
        guard let site else {
            if reading.problems.isEmpty {
                reading.add(
                    path,
                    "there is no Site; add a manifest with apiVersion: "
                        + "\(NetworkGroup.apiVersion), kind: Site and metadata.name"
                )
            }
            return
        }
        reading.site = site
        let joins = joins(&reading)
        let compilation = NetworkAPI.compile(
            site: site,
            siteID: siteID,
            links: reading.manifests.links,
            services: reading.manifests.services,
            listeners: .direct(bind: bind),
            joins: joins
        )
        reading.problems += compilation.findings.map(reading.manifests.problem)
        if site.spec.identity != nil {
            let finding = Finding(
                object: FoundObject(kind: .site, name: site.metadata.name),
                field: "spec.identity",
                reason: .invalid,
                message:
                    "a plain site reads no Secret; put tls.crt and tls.key into the folder identity of its state"
            )
            reading.problems.append(reading.manifests.problem(for: finding))
        }
        if reading.problems.isEmpty { reading.configuration = compilation.configuration }
    }

    /// What tokens add to the configuration.
    private func joins(_ reading: inout Reading) -> Joins {
        guard let state else { return Joins() }
        reading.tokens = TokenFolder(state: state).read()
        let tokens = reading.tokens.tokens.mapValues {
            TokenConfiguration(grant: $0.grant, key: JoinSecret.key(of: $0.secret))
        }
        do {
            return Joins(try GrantFolder(state: state).read(), tokens: tokens)
        } catch {
            reading.add("", "\(error)")
            return Joins(tokens: tokens)
        }
    }

    private func isManifest(_ name: String) -> Bool {
        !name.hasPrefix(".") && Self.extensions.contains { name.hasSuffix($0) }
    }
}

/// A plain site without a configuration that could be used at its start.
struct UnusableSite: Error {
    let lines: [String]
}
