import CLinux
import Certificates
import FoundationEssentials
import Glibc
import NetworkModel
import SiteFolder

/// What a plain site keeps: its identity, the statuses of its objects, the manifests that it last used.
///
/// It need not be the manifest folder, which may be a Git checkout or a mounted volume, replaced at any time and read-only.
struct SiteState: Sendable {
    let path: String

    /// Where a site's state is kept when nothing else is said.
    static let standardPath = "/var/lib/tieline"

    /// The folder: as told (`--state`), as systemd made it (`StateDirectory=`), the manifest folder if it holds the identity
    /// already or can be written, else `standardPath`.
    ///
    /// - Throws: when the site's identity is in the manifest folder and another folder is wanted: the site would become
    ///   another one without a word.
    init(
        told: String?,
        manifests: String,
        environment: [String: String]
    ) throws {
        let old = "\(manifests)/identity"
        let given = told ?? environment["STATE_DIRECTORY"].flatMap { $0.isEmpty ? nil : $0 }
        guard let given else {
            let isWritable = unsafe access(manifests, W_OK) == 0
            let isHome = isWritable || Files.exists(old)
            path = isHome ? manifests : Self.standardPath
            return
        }
        path = given == "/" ? given : Files.withoutSlash(given)
        guard path != manifests, Files.exists(old) else { return }
        guard Files.exists(identity) else {
            throw FileProblem(
                "the identity of this site is in \(old), not in \(path): move it there "
                    + "(mv \(old) \(identity)), or start without --state"
            )
        }
        guard try Files.read("\(old)/tls.crt") == Files.read("\(identity)/tls.crt") else {
            throw FileProblem(
                "\(old) and \(identity) are identities of different sites: remove the one that is not this site's"
            )
        }
    }

    /// In the folder `path`, which is there.
    init(path: String) { self.path = path }

    var statusFolder: String { "\(path)/status" }
    var grants: GrantFolder { GrantFolder(state: path) }
    var tokens: TokenFolder { TokenFolder(state: path) }
    private var identity: String { "\(path)/identity" }
    /// The SiteID that this state belongs to; stays when the identity is lost.
    private var record: String { "\(path)/site-id" }

    // MARK: One process

    /// Makes the folder and takes it for this process, until the process ends.
    ///
    /// - Throws: when another process has it.
    func lock() throws {
        guard try FolderLock.take(path, mode: 0o755) else {
            throw FileProblem(
                "another tieline-proxy runs this site: \(FolderLock.file(in: path)) is locked; end that one first"
            )
        }
        for name in Files.names(in: path) where name.hasPrefix(Self.unfinished) {
            try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
        }
        Files.removeTemporaries(in: path)
    }

    private static let unfinished = ".identity.tmp-"

    // MARK: Identity

    /// The site's authority; made, in one step, when there is none and never was.
    ///
    /// One that is there and cannot be read is an error, and so is one that is gone: a new key would be a new site to everyone.
    func authority(now: Date, renew: Bool = false) throws -> SiteAuthority {
        if try !Files.exists(orThrow: identity) { try makeIdentity(now: now, renew: renew) }
        guard let certificate = try Files.read("\(identity)/tls.crt"),
            let key = try Files.read("\(identity)/tls.key")
        else {
            throw FileProblem(
                "\(identity) has no tls.crt or no tls.key: restore both, or remove the directory and start with "
                    + "--new-identity to become another site"
            )
        }
        let authority: SiteAuthority
        do {
            authority = try SiteAuthority(
                certificatePEM: String(decoding: certificate, as: UTF8.self),
                keyPEM: String(decoding: key, as: UTF8.self),
                now: now
            )
        } catch {
            throw FileProblem("\(identity): \(error)")
        }
        try check(authority.siteID, renew: renew)
        return authority
    }

    private func makeIdentity(now: Date, renew: Bool) throws {
        if !renew, let known = try recorded() {
            throw FileProblem(
                "this site was \(known) and \(identity) is gone: restore it, or start once with --new-identity "
                    + "to become another site; every Link and allow list that names \(known) must then be changed"
            )
        }
        let made = try SiteAuthority.make(now: now)
        let temporary = "\(path)/\(Self.unfinished)\(getpid())"
        do {
            try Files.makeDirectory(temporary, mode: 0o700)
            try Files.write("\(temporary)/tls.crt", Data(made.certificatePEM.utf8), mode: 0o644)
            try Files.write("\(temporary)/tls.key", Data(made.keyPEM.utf8), mode: 0o600)
            guard unsafe rename(temporary, identity) == 0 else {
                throw FileProblem(identity, errno)
            }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
    }

    private func recorded() throws -> String? {
        try Files.read(record).map {
            String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }
        }
    }

    /// Another identity than the recorded one needs a word.
    private func check(_ siteID: SiteID, renew: Bool) throws {
        let known = try recorded()
        guard known != "\(siteID)" else { return }
        if let known, !renew {
            throw FileProblem(
                "\(identity) is of site \(siteID), but this state belongs to site \(known): restore the identity of "
                    + "\(known), or start once with --new-identity"
            )
        }
        try Files.replace(record, with: Data("\(siteID)\n".utf8), mode: 0o644)
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

    // MARK: The last good manifests

    private var lastGood: String { "\(path)/.last-good.json" }

    /// The texts of the files that were applied last, by file name; nil when there are none that can be read.
    func lastGoodTexts() -> [String: String]? {
        guard let data = try? Files.read(lastGood) else { return nil }
        return try? JSONDecoder().decode([String: String].self, from: data)
    }

    func keep(_ texts: [String: String]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(texts)
        guard try Files.read(lastGood) != data else { return }
        try Files.replace(lastGood, with: data)
    }
}
