import KubernetesAPI
package import NetworkModel
import SiteConfiguration

/// Turns a site's objects into the configuration of its proxies.
///
/// Pure: equal arguments, equal result. An object that cannot be used is left out, with a finding that says why and what
/// to change; everything else works on. Of two objects that claim the same thing the older one (then the one with the
/// smaller UID) has it. `site` is the one that `chooseSite` chose; Links and Services are those of its namespace, in any
/// order, without the ones that are being deleted.
package func compile(
    site: Site,
    siteID: SiteID,
    links: [Link],
    services: [Service],
    listeners: Listeners
) -> Compilation {
    Compilation(
        configuration: SiteConfiguration(site: SiteName(id: siteID, name: site.metadata.name)),
        findings: [],
        ports: ListenerPorts()
    )
}
