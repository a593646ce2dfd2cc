import KubernetesAPI
package import NetworkModel
package import ProxyContract

/// Turns a site's objects into the configuration of its proxies.
///
/// Pure: equal arguments, equal result. An object that cannot be used is left out, with a finding that says why and what
/// to change; everything else works on. Of two objects that claim the same thing the older one (then the one with the
/// smaller UID) has it. `site` is the one that `chooseSite` chose; Links and Services are those of its namespace, in any
/// order; the ones that are being deleted are left out. What is `kept` is there beside them and has what it has. What is out of bounds in the Site is replaced by its default.
package func compile(
    site: Site,
    siteID: SiteID,
    links: [Link],
    services: [Service],
    listeners: Listeners,
    joins: Joins = Joins(),
    keeping kept: KeptParts = KeptParts()
) -> Compilation {
    let frame = compileFrame(
        site: site,
        siteID: siteID,
        links: links,
        joins: joins,
        keeping: kept.links
    )
    var compiler = ServiceCompiler(listeners: listeners)
    compiler.setBook(SiteBook(of: site, siteID))
    for part in kept.services { compiler.keep(part) }
    for service in services { compiler.set(service) }
    var now = Instant(nanoseconds: 0)
    if case .allocated(_, let time) = listeners { now = time }
    compiler.settle(at: now)
    var configuration = frame.configuration
    configuration.services = compiler.services
    return Compilation(
        configuration: configuration,
        findings: frame.findings + compiler.findings,
        ports: compiler.ports
    )
}

/// The configuration without its services, from the Site and its Links.
package func compileFrame(
    site: Site,
    siteID: SiteID,
    links: [Link],
    joins: Joins = Joins(),
    keeping kept: [LinkConfiguration] = []
) -> (configuration: SiteConfiguration, findings: [Finding]) {
    var siteFindings = Findings(.site, site.metadata.name)
    var configuration = site.configuration(siteID: siteID, &siteFindings)
    var findings = siteFindings.list

    configuration.links = kept
    configuration.take(joins)
    for link in links.filter({ !$0.metadata.isTerminating }).sorted(by: isOlderObject) {
        var own = Findings(.link, link.metadata.name)
        let part = link.configuration(
            siteID: siteID,
            siteHealth: configuration.health,
            tokens: joins.tokens,
            &own
        )
        if let part {
            own.checkParallel(to: part, among: configuration.links)
            if own.list.isEmpty { configuration.links.append(part) }
        }
        findings += own.list
    }
    configuration.links.sort { $0.name < $1.name }
    return (configuration, findings)
}

extension SiteConfiguration {
    /// Who came by a token is let in like one that is listed.
    fileprivate mutating func take(_ joins: Joins) {
        if !joins.grants.isEmpty { grants = joins.grants }
        let listed = Set(allow.map(\.id)).union([site.id])
        allow += joins.admitted.filter { !listed.contains($0) }.map { SiteName(id: $0) }
        allow.sort { $0.id < $1.id }
    }
}

extension Findings {
    /// Links to the same site beside each other are for paths of their own; what is merely another address is an endpoint.
    fileprivate mutating func checkParallel(
        to link: LinkConfiguration,
        among older: [LinkConfiguration]
    ) {
        let parallel = older.filter { $0.leadsToSite(of: link) }.map(\.name.text).sorted()
        guard parallel.count >= Bounds.parallelLinks else { return }
        add(
            "spec.remoteSiteID",
            reason: .conflict,
            "\(parallel.count) Links lead to the site \(link.remoteSite) already, which is the most: "
                + "\(parallel.joined(separator: ", ")); put the endpoints of this one into one of them "
                + "(spec.endpoints takes \(Bounds.endpoints)), or delete one"
        )
    }
}

private func isOlderObject(_ left: some KubernetesObject, _ right: some KubernetesObject) -> Bool {
    isOlder(left.metadata, right.metadata)
}
