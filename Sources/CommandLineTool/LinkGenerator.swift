import KubernetesAPI
import NetworkAPI
import NetworkModel

/// Makes the Link that another site needs to dial a Site.
///
/// Pure: reads only the status, tells no secret.
enum LinkGenerator {
    /// Why there is nothing to generate yet, with the remedy.
    enum Problem: Error, Equatable, CustomStringConvertible {
        case noIdentity(site: ObjectKey, reason: String)
        case noLinkAccess(site: ObjectKey)
        case noEndpoints(site: ObjectKey, reason: String)

        var description: String {
            switch self {
            case .noIdentity(let site, let reason):
                "Site \(site) has no identity yet (\(reason)); is the controller running? "
                    + "See `kubectl describe tsite -n \(site.namespace ?? "") \(site.name)`"
            case .noLinkAccess(let site):
                "Site \(site) only dials out: set spec.linkAccess, such as {type: LoadBalancer}, "
                    + "so that other sites can reach it"
            case .noEndpoints(let site, let reason):
                "Site \(site) has no address that others could dial yet (\(reason)); "
                    + "wait with `kubectl wait -n \(site.namespace ?? "") tsite/\(site.name) --for=condition=Reachable`"
            }
        }
    }

    static func link(to site: Site, name: String?, cost: LinkCost?) throws(Problem) -> Link {
        let key = site.metadata.key
        guard let siteID = site.status.siteID else {
            throw .noIdentity(site: key, reason: reason(of: .ready, in: site))
        }
        guard site.spec.linkAccess != nil else { throw .noLinkAccess(site: key) }
        guard !site.status.endpoints.isEmpty else {
            throw .noEndpoints(site: key, reason: reason(of: .reachable, in: site))
        }
        return Link(
            metadata: ObjectMeta { $0.name = name ?? site.metadata.name },
            spec: LinkSpec(
                endpoints: site.status.endpoints,
                remoteSiteID: siteID,
                nextRemoteSiteID: site.status.nextSiteID,
                cost: cost
            )
        )
    }

    private static func reason(of type: ConditionType, in site: Site) -> String {
        site.status.conditions[type: type.rawValue]?.reason ?? "not observed yet"
    }
}
