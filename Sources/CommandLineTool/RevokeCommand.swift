import ArgumentParser
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import SiteFolder

struct RevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Cut a site off that may dial this one.",
        discussion: """
            Prints the patch that takes the site out of `spec.allow`, and what else leads to it. Within seconds its links are closed \
            and the connections of its clients are reset, whatever path they took. Nothing is changed without --apply: where Git has \
            the Site, take the entry out there.

            A site that is cut off here may still reach this one over a third site that both are linked to, as any member of the network \
            may: Service.allowedSites and Site.exports say who uses what.

            Examples:
              tieline link revoke west -n shop
              tieline link revoke K7QM3D4XJABCDEFGHIJKLMNOPQ -n shop --apply
              tieline link revoke K7QM3D4XJABCDEFGHIJKLMNOPQ --site-dir /etc/tieline --apply
            """
    )

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var plain: PlainSiteOptions

    @Argument(help: "The site to cut off: its name in spec.allow, or its SiteID.")
    var remote: String

    @Option(help: "The Site that cuts it off (default: the one of the namespace).")
    var site: String?

    @Flag(help: "Change the Site, too.")
    var apply = false

    func validate() throws {
        if plain.siteDir != nil, cluster.isGiven || site != nil {
            throw ValidationError("--site-dir goes with --state and --apply only")
        }
    }

    func run() async throws {
        if let plain = try plain.status() { return try revoke(at: plain) }
        let (client, namespace) = try cluster.client()
        let site = try await client.site(named: site, in: namespace)
        let links = try await client.listAll(Link.self, in: Scope(namespace: namespace))
        let grants = ObjectKey(namespace: site.metadata.namespace, name: ChildName.grantsSecret)
        let ledger = GrantLedger(try await client.find(Core.Secret.self, grants))
        let revocation = try Revocation(of: remote, at: site, links: links, grants: ledger)
        print(try revocation.text)
        guard apply else { return }
        if let patch = revocation.patch {
            _ = try await client.patch(Site.self, site.metadata.key, .json(patch))
        }
        if !revocation.grants.changes.isEmpty {
            _ = try await client.patch(Core.Secret.self, grants, revocation.grants.patch)
        }
        let keeper = revocation.keeper.map {
            "; \($0) keeps this Site: without a change there the entry comes back"
        }
        print("# Site \(site.metadata.key) is patched\(keeper ?? "")")
    }

    /// What is in its manifests is for their author to take out.
    private func revoke(at plain: PlainSiteStatus) throws {
        let revocation = try Revocation(
            of: remote,
            at: try plain.site(),
            links: plain.report.links,
            grants: try plain.grants.read()
        )
        print(revocation.plainText)
        guard apply, !revocation.grants.changes.isEmpty else { return }
        try plain.grants.change { try $0.revoke(revocation.entry.siteID) }
        print("# It is taken out of \(plain.grants.path)")
    }
}

/// What has to be done for a site to be cut off.
///
/// Pure.
struct Revocation {
    let site: ObjectKey
    let entry: NamedSite
    /// Takes exactly this entry out, or fails where the list is another one by now.
    ///
    /// Nil: it came by a token, and is not listed.
    let patch: JSONValue?
    /// Without it.
    let grants: GrantLedger
    /// The Links of this Site that lead there.
    let links: [String]
    /// What writes the Site from Git; nil: nothing that is known.
    let keeper: String?

    init(
        of remote: String,
        at site: Site,
        links: [Link],
        grants: GrantLedger = GrantLedger(nil)
    ) throws {
        let allowed = site.spec.allow ?? []
        // Names that sites give themselves are no names here: who came by a token is meant by its SiteID.
        let joined = grants.admitted.first { $0.siteID.text == remote }
        let index = allowed.firstIndex { $0.siteID.text == remote || $0.name == remote }
        guard let entry = index.map({ allowed[$0] }) ?? joined else {
            let known =
                allowed.map { $0.name ?? $0.siteID.text } + grants.admitted.map(\.siteID.text)
            throw NotFound(
                "Site \(site.metadata.key) does not let \(remote) in, but "
                    + (known.isEmpty ? "nobody" : known.joined(separator: ", "))
            )
        }
        self.site = site.metadata.key
        self.entry = entry
        patch = index.map { index in
            [
                [
                    "op": "test", "path": .string("/spec/allow/\(index)/siteID"),
                    "value": .string(entry.siteID.text),
                ],
                ["op": "remove", "path": .string("/spec/allow/\(index)")],
            ]
        }
        var ledger = grants
        try ledger.revoke(entry.siteID)
        self.grants = ledger
        self.links = links.filter {
            $0.spec.remoteSiteID == entry.siteID || $0.spec.nextRemoteSiteID == entry.siteID
        }.map(\.metadata.name).sorted()
        keeper = Self.keeper(of: site.metadata)
    }

    var text: String {
        get throws {
            let namespace = site.namespace ?? ""
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            var lines = ["# Site \(site) lets \(entry.name ?? "a site") (\(entry.siteID)) in."]
            if let patch {
                let place = keeper.map { ", where \($0) has it from" } ?? ""
                let text = String(decoding: try encoder.encode(patch), as: UTF8.self)
                lines += [
                    "# To cut it off, take its entry out of spec.allow\(place), or:",
                    "kubectl patch tsite \(site.name) -n \(namespace) --type json -p '\(text)'",
                ]
            }
            if !grants.changes.isEmpty {
                lines.append(
                    "# It came by a token: --apply takes it out of the Secret \(ChildName.grantsSecret)."
                )
            }
            for link in links {
                lines.append("# This Site also dials it. To end that:")
                lines.append("kubectl delete tlink \(link) -n \(namespace)")
            }
            return lines.joined(separator: "\n")
        }
    }

    /// For a plain site, whose objects stand in files.
    var plainText: String {
        var lines = ["# Site \(site.name) lets \(entry.name ?? "a site") (\(entry.siteID)) in."]
        if patch != nil {
            lines.append("# To cut it off, take its entry out of spec.allow of the Site.")
        }
        if !grants.changes.isEmpty { lines.append("# It came by a token: --apply takes it out.") }
        for link in links {
            lines.append("# This Site also dials it, by the Link \(link): remove that to end it.")
        }
        return lines.joined(separator: "\n")
    }

    /// By the labels that Flux and Argo CD set on what they apply.
    private static func keeper(of metadata: ObjectMeta) -> String? {
        if metadata.labels.keys.contains(where: { $0.contains("toolkit.fluxcd.io/") }) {
            return "Flux"
        }
        let marks = [metadata.labels, metadata.annotations]
        return marks.contains { $0.keys.contains { $0.hasPrefix("argocd.argoproj.io/") } }
            ? "Argo CD" : nil
    }
}
