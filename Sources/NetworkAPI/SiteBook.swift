import KubernetesAPI
package import NetworkModel

/// The sites that the manifests of one Site may name, and what the Site says of all others.
///
/// A name that a remote site gives itself is for display: only what this Site binds itself can be used in a policy.
package struct SiteBook: Hashable, Sendable {
    /// This Site's own name, and those of its `allow` and `sites`.
    private var names: [String: SiteID]
    /// The sites whose servers are used where a Service says nothing, this one among them; nil: all.
    package let trusted: Set<SiteID>?
    /// Whether clients of other sites may use a Service that says nothing.
    package let exportsToAll: Bool

    package init(
        names: [String: SiteID] = [:],
        trusted: Set<SiteID>? = nil,
        exportsToAll: Bool = true
    ) {
        self.names = names
        self.trusted = trusted
        self.exportsToAll = exportsToAll
    }

    /// What the Site says; a name that it binds twice is what it was bound to first, and a finding of the Site.
    package init(of site: Site, _ siteID: SiteID) {
        var names = [site.metadata.name: siteID]
        for entry in (site.spec.allow ?? []) + (site.spec.sites ?? []) {
            guard let name = entry.name, names[name] == nil else { continue }
            names[name] = entry.siteID
        }
        self.names = names
        exportsToAll = site.spec.exports?.default != .deny
        // A name that is not bound trusts nobody.
        trusted = (site.spec.imports?.trusted).map { trusted in
            Set(trusted.compactMap { SiteID($0) ?? names[$0] } + [siteID])
        }
    }

    /// Nil: no site of that name is bound here.
    package func site(_ text: String) -> SiteID? { SiteID(text) ?? names[text] }

    /// What people call the site.
    func text(of site: SiteID) -> String {
        names.filter { $0.value == site }.keys.min().map { "site \"\($0)\"" } ?? "site \(site)"
    }
}

extension Findings {
    /// The site that is meant; nil, with a finding, when this Site binds no such name.
    mutating func resolve(_ text: String, _ field: String, _ book: SiteBook) -> SiteID? {
        if let site = book.site(text) { return site }
        add(
            field,
            reason: .unknownSite,
            "\"\(text)\" is neither a SiteID nor a name of this Site: add {siteID: ..., name: \(text)} to "
                + "spec.sites of the Site (or spec.allow, if that site may dial this one)"
        )
        return nil
    }

    /// Sites that are meant, without repetitions.
    mutating func resolve(_ texts: [String], _ field: String, _ book: SiteBook) -> [SiteID] {
        var sites: [SiteID] = []
        for (index, text) in texts.enumerated() {
            guard let site = resolve(text, "\(field)[\(index)]", book) else { continue }
            if !sites.contains(site) { sites.append(site) }
        }
        return sites
    }
}
