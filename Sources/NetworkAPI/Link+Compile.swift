import KubernetesAPI
package import NetworkModel
import ProxyContract

extension Link {
    /// As configured, or what holds where nothing is.
    package var cost: LinkCost { spec.cost ?? .standard }

    /// What single services cost instead.
    package var serviceCosts: [ServiceAddress: LinkCost] {
        Dictionary(
            (spec.serviceCosts ?? []).map { ($0.address, $0.cost) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    /// Whether the cost follows the round-trip time.
    package var isCostMeasured: Bool { spec.autoCost?.fromRoundTripTime ?? false }

    /// The bounds of a cost that follows the round-trip time; nil when it does not.
    private func autoCost(_ findings: inout Findings) -> AutoCost.Bounds? {
        guard let auto = spec.autoCost else { return nil }
        let least = auto.min ?? .standard
        let most = auto.max ?? Bounds.measuredCost
        guard let bounds = AutoCost.Bounds(least: least, most: most) else {
            findings.add(
                "spec.autoCost.min",
                "autoCost.min is \(least), more than autoCost.max, which is \(most); lower it"
            )
            return nil
        }
        return isCostMeasured ? bounds : nil
    }

    /// The link's part of the configuration; nil, with a finding, when it cannot be used.
    func configuration(
        siteID: SiteID,
        siteHealth: HealthParameters,
        tokens: [String: TokenConfiguration] = [:],
        _ findings: inout Findings
    ) -> LinkConfiguration? {
        guard let name = LinkName(metadata.name) else {
            findings.add(
                "metadata.name",
                "\"\(metadata.name)\" must be a DNS name: \(DNSBounds.name)"
            )
            return nil
        }
        checkEndpoints(&findings)
        checkServiceCosts(&findings)
        let autoCost = autoCost(&findings)
        let health = spec.health.parameters(over: siteHealth, &findings)
        let resumeGrace = spec.resumeGrace.map {
            findings.check(
                $0,
                in: ResumeGrace.range,
                else: ResumeGrace.standard,
                "spec.resumeGrace"
            )
        }
        if spec.remoteSiteID == siteID {
            findings.add(
                "spec.remoteSiteID",
                reason: .toSelf,
                condition: .connected,
                "remoteSiteID \(siteID) is this site itself; give the other site's status.siteID"
            )
        }
        if spec.nextRemoteSiteID == siteID {
            findings.add(
                "spec.nextRemoteSiteID",
                reason: .toSelf,
                condition: .connected,
                "nextRemoteSiteID \(siteID) is this site itself; give the other site's status.nextSiteID"
            )
        }
        guard findings.list.isEmpty else { return nil }
        return LinkConfiguration(
            name: name,
            endpoints: spec.endpoints.map {
                HostAndPort(host: HostText.normalized($0.host), port: $0.port)
            },
            remoteSite: spec.remoteSiteID,
            nextRemoteSite: spec.nextRemoteSiteID == spec.remoteSiteID
                ? nil : spec.nextRemoteSiteID,
            cost: cost,
            serviceCosts: serviceCosts,
            autoCost: autoCost,
            health: health,
            token: spec.tokenSecret.flatMap { tokens[$0.name] },
            resumeGrace: resumeGrace
        )
    }

    private func checkServiceCosts(_ findings: inout Findings) {
        let entries = spec.serviceCosts ?? []
        if entries.count > Bounds.serviceCosts {
            findings.add(
                "spec.serviceCosts",
                "serviceCosts takes at most \(Bounds.serviceCosts) services, not \(entries.count)"
            )
        }
        var seen: Set<ServiceAddress> = []
        for (index, entry) in entries.enumerated() where !seen.insert(entry.address).inserted {
            findings.add(
                "spec.serviceCosts[\(index)].address",
                "\(entry.address) is listed twice; remove one entry"
            )
        }
    }

    private func checkEndpoints(_ findings: inout Findings) {
        if spec.endpoints.isEmpty || spec.endpoints.count > Bounds.endpoints {
            findings.add(
                "spec.endpoints",
                "a Link needs 1 to \(Bounds.endpoints) endpoints: the other site's status.endpoints"
            )
        }
        var seen: Set<LinkEndpoint> = []
        for (index, endpoint) in spec.endpoints.enumerated() {
            findings.checkHost(endpoint.host, "spec.endpoints[\(index)].host")
            findings.checkPort(endpoint.port, "spec.endpoints[\(index)].port")
            if !seen.insert(endpoint).inserted {
                findings.add(
                    "spec.endpoints[\(index)]",
                    "this endpoint is listed twice; remove one"
                )
            }
        }
    }
}
