import KubernetesAPI
import NetworkModel
import ProxyContract
import Testing

@testable import NetworkAPI

/// A SiteID of 26 times one letter.
func siteID(_ letter: Character) throws -> SiteID {
    try #require(SiteID(String(repeating: letter, count: SiteID.length)))
}

func meta(_ name: String, age: Int64 = 0, uid: String? = nil) -> ObjectMeta {
    var meta = ObjectMeta(name: name, namespace: "shop")
    meta.uid = uid ?? "uid-\(name)"
    meta.creationTimestamp = Timestamp(seconds: 1_000_000 - age)
    return meta
}

func port(_ name: String, _ number: UInt16, target: IntOrString? = nil) throws -> ServiceSpec.Port {
    ServiceSpec.Port(name: try #require(PortName(name)), port: number, targetPort: target)
}

func service(
    _ name: String,
    age: Int64 = 0,
    address: String? = nil,
    port number: UInt16 = 80,
    _ change: (inout ServiceSpec) -> Void = { _ in }
) throws -> Service {
    var spec = ServiceSpec(
        address: try address.map { try #require(ServiceAddress($0)) },
        ports: [try port("http", number)]
    )
    change(&spec)
    return Service(metadata: meta(name, age: age), spec: spec)
}

func compiled(
    site: Site = Site(metadata: meta("east")),
    links: [Link] = [],
    services: [Service] = [],
    listeners: Listeners = .allocated(ListenerPorts(), now: Instant(nanoseconds: 0))
) throws -> Compilation {
    compile(
        site: site,
        siteID: try siteID("A"),
        links: links,
        services: services,
        listeners: listeners
    )
}
