import KubernetesAPI
import NetworkModel
import ProxyContract

extension Site {
    /// The site-wide part of the configuration; what is out of bounds is replaced by its default, with a finding.
    func configuration(siteID: SiteID, _ findings: inout Findings) -> SiteConfiguration {
        if !DNSName.isLabel(metadata.name) {
            findings.add(
                "metadata.name",
                "the name of a Site must be a DNS label: at most 63 of a-z, 0-9 and \"-\""
            )
        }
        checkLinkAccess(&findings)
        if let name = spec.identity?.secretName, ChildName.isSecret(name) {
            findings.add(
                "spec.identity.secretName",
                "\(name) is a Secret that the controller makes: name that of a CA of your own"
            )
        }
        checkBook(siteID: siteID, &findings)
        _ = findings.check(
            spec.proxy?.replicas,
            in: Bounds.replicas,
            else: ProxySettings.standardReplicas,
            "spec.proxy.replicas"
        )
        let loops = findings.check(
            spec.proxy?.loops,
            in: Bounds.loops,
            else: 0,
            "spec.proxy.loops"
        )
        return SiteConfiguration(
            site: SiteName(id: siteID, name: metadata.name),
            allow: allowedSites(&findings),
            acceptsLinks: spec.linkAccess != nil,
            health: spec.health.parameters(over: .standard, &findings),
            drain: drainParameters(&findings),
            loops: Int(loops),
            memoryBudget: memoryBudget(&findings)
        )
    }

    private func memoryBudget(_ findings: inout Findings) -> UInt64? {
        guard let quantity = spec.proxy?.memoryBudget else { return nil }
        guard let value = quantity.value, let budget = UInt64(exactly: value),
            budget >= SiteConfiguration.memoryBudgetMinimum
        else {
            findings.add(
                "spec.proxy.memoryBudget",
                "spec.proxy.memoryBudget must be at least 16Mi, not \(quantity)"
            )
            return nil
        }
        return budget
    }

    private func checkLinkAccess(_ findings: inout Findings) {
        guard let access = spec.linkAccess else { return }
        if let port = access.port { findings.checkPort(port, "spec.linkAccess.port") }
        let hosts = access.hosts ?? []
        for (index, host) in hosts.enumerated() {
            findings.checkHost(host, "spec.linkAccess.hosts[\(index)]")
        }
        if access.type == .external, hosts.isEmpty {
            findings.add(
                "spec.linkAccess.hosts",
                "linkAccess of type External needs hosts: the names or addresses at which this site is reached"
            )
        }
    }

    private func allowedSites(_ findings: inout Findings) -> [SiteName] {
        let allow = checkNamed(spec.allow ?? [], "spec.allow", &findings)
        return allow.values.sorted { $0.id < $1.id }
    }

    /// Names of other sites; each stands for one of them, in `allow` and `sites` together.
    private func checkNamed(
        _ sites: [NamedSite],
        _ list: String,
        _ findings: inout Findings
    ) -> [SiteID: SiteName] {
        if sites.count > Bounds.allow {
            findings.add(list, "\(list) takes at most \(Bounds.allow) sites")
        }
        var known: [SiteID: SiteName] = [:]
        var names: Set<String> = []
        for (index, entry) in sites.enumerated() {
            let field = "\(list)[\(index)]"
            if let name = entry.name, !DNSName.isLabel(name) {
                findings.add("\(field).name", "\"\(name)\" must be a DNS label: \(DNSBounds.label)")
            }
            if let name = entry.name, !names.insert(name).inserted {
                findings.add(
                    "\(field).name",
                    "two sites are named \"\(name)\"; give each a name of its own"
                )
            }
            let name = SiteName(id: entry.siteID, name: entry.name ?? "")
            if known.updateValue(name, forKey: entry.siteID) != nil {
                findings.add(
                    "\(field).siteID",
                    "site \(entry.siteID) is listed twice; remove one entry"
                )
            }
        }
        return known
    }

    /// What Services may say of sites; the book is made from the same.
    private func checkBook(siteID: SiteID, _ findings: inout Findings) {
        let sites = spec.sites ?? []
        _ = checkNamed(sites, "spec.sites", &findings)
        let allowed = spec.allow ?? []
        for (index, entry) in sites.enumerated() {
            guard let name = entry.name else {
                findings.add(
                    "spec.sites[\(index)].name",
                    "an entry of sites binds a name to a site: give it one"
                )
                continue
            }
            for other in allowed where other.name == name && other.siteID != entry.siteID {
                findings.add(
                    "spec.sites[\(index)].name",
                    "\"\(name)\" is the name of site \(other.siteID) in spec.allow; choose another one"
                )
            }
        }
        for entry in allowed + sites where entry.name == metadata.name && entry.siteID != siteID {
            findings.add(
                "spec",
                "\"\(metadata.name)\" is the name of this Site; give site \(entry.siteID) another one"
            )
        }
        let book = SiteBook(of: self, siteID)
        _ = findings.resolve(spec.imports?.trusted ?? [], "spec.imports.trusted", book)
    }

    private func drainParameters(_ findings: inout Findings) -> DrainParameters {
        DrainParameters(
            delay: findings.check(
                spec.drain?.delay,
                in: Bounds.delay,
                else: DrainParameters.standard.delay,
                "spec.drain.delay"
            ),
            grace: findings.check(
                spec.drain?.grace,
                in: Bounds.grace,
                else: DrainParameters.standard.grace,
                "spec.drain.grace"
            )
        )
    }
}

extension HealthSettings? {
    /// What is absent is taken from `base`.
    func parameters(over base: HealthParameters, _ findings: inout Findings) -> HealthParameters {
        HealthParameters(
            heartbeat: findings.check(
                self?.heartbeat,
                in: Bounds.heartbeat,
                else: base.heartbeat,
                "spec.health.heartbeat"
            ),
            misses: Int(
                findings.check(
                    self?.misses,
                    in: Bounds.misses,
                    else: Int32(base.misses),
                    "spec.health.misses"
                )
            )
        )
    }
}
