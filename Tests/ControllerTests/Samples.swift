import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

/// Values that the tests start from.
enum Samples {
    static let now = Timestamp(seconds: 1_800_000_000)
    static let start = Instant(nanoseconds: 1_000_000_000_000)
    static let settings = ControllerSettings(proxyImage: "tieline-proxy:dev")

    static func siteID(_ letter: Character) throws -> SiteID {
        try #require(SiteID(String(repeating: letter, count: SiteID.length)))
    }

    static func proxy(_ number: UInt64, site letter: Character = "A") throws -> ProxyID {
        ProxyID(site: try siteID(letter), instance: number)
    }

    static func port(_ text: String = "backend/http") throws -> ServicePort {
        try #require(ServicePort(text))
    }

    static func metadata(_ name: String, namespace: String = "shop", uid: String? = nil)
        -> ObjectMeta
    {
        var metadata = ObjectMeta(name: name, namespace: namespace)
        metadata.uid = uid ?? "uid-\(name)"
        metadata.generation = 3
        metadata.resourceVersion = "7"
        return metadata
    }

    static func site(_ build: (inout SiteSpec) -> Void = { _ in }) -> Site {
        var site = Site(metadata: metadata("east"))
        build(&site.spec)
        return site
    }

    /// The Secret of an identity, as cert-manager makes it too.
    static func authoritySecret(
        _ authority: SiteAuthority,
        name: String = ChildName.authoritySecret,
        namespace: String = "shop"
    ) -> Core.Secret {
        Core.Secret {
            $0.metadata = ObjectMeta(name: name, namespace: namespace)
            $0.type = "kubernetes.io/tls"
            $0.data = [
                "tls.crt": Data(authority.certificatePEM.utf8),
                "tls.key": Data(authority.keyPEM.utf8),
            ]
        }
    }

    static func link(cost: Int32? = nil) throws -> Link {
        Link(
            metadata: metadata("west"),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "west.example.com", port: 5671)],
                remoteSiteID: try siteID("W"),
                cost: cost.flatMap { LinkCost($0) }
            )
        )
    }

    static func service(
        ports: [String] = ["http"],
        _ build: (inout ServiceSpec) -> Void = { _ in }
    ) throws -> Service {
        var spec = ServiceSpec(
            ports: try ports.enumerated().map { index, name in
                .init(name: try #require(PortName(name)), port: UInt16(8080 + index))
            }
        )
        build(&spec)
        return Service(metadata: metadata("backend"), spec: spec)
    }

    static func gateway(
        _ name: String = "tieline-proxy-1",
        addresses: [String] = ["10.244.0.5"],
        ready: Bool = true,
        snapshot: ProxySnapshot? = nil
    ) -> GatewayView {
        GatewayView(pod: name, addresses: addresses, isReady: ready, snapshot: snapshot)
    }

    static func snapshot(
        _ number: UInt64 = 1,
        generation: UInt64 = 5,
        _ build: (inout ProxySnapshot) throws -> Void = { _ in }
    ) throws -> ProxySnapshot {
        var snapshot = ProxySnapshot(proxy: try proxy(number))
        snapshot.appliedGeneration = generation
        try build(&snapshot)
        return snapshot
    }

    static func target(
        _ letter: Character,
        name: String,
        cost: UInt32,
        connections: UInt64 = 0,
        state: ServiceSnapshot.State = .usable,
        reason: String? = nil
    ) throws -> ServiceSnapshot.Target {
        ServiceSnapshot.Target(
            site: SiteName(id: try siteID(letter), name: name),
            pathCost: PathCost(cost),
            endpoints: 1,
            connections: connections,
            state: state,
            reason: reason,
            via: "link/west"
        )
    }

    static func failover(
        _ sequence: UInt64,
        from: String = "west",
        to: String = "east",
        reason: String = "LinkLost",
        time: Double,
        lost: UInt32 = 0
    ) throws -> FailoverSnapshot {
        FailoverSnapshot(
            sequence: sequence,
            service: try port(),
            from: SiteName(id: try siteID("W"), name: from),
            to: SiteName(id: try siteID("A"), name: to),
            reason: reason,
            time: Timestamp(microseconds: Int64(time * 1_000_000)),
            lost: lost,
            resumed: 0,
            durationMilliseconds: 740
        )
    }
}

extension Samples {
    static func compilation(
        of site: Site = site(),
        ports: ListenerPorts? = nil
    ) throws -> SiteCompilation {
        SiteCompilation(
            told: [],
            ports: ports,
            secrets: ConfigurationSecrets(),
            head: nil,
            siteUID: site.metadata.uid,
            siteID: try siteID("A"),
            at: Instant(nanoseconds: 1)
        )
    }
}

extension [Condition] {
    /// `Type=Status,Reason` of each.
    var brief: [String] { map { "\($0.type)=\($0.status.rawValue),\($0.reason)" } }
}

extension SiteRecord {
    /// Takes what these objects compile to, all that there are, as one generation of the configuration.
    mutating func take(
        _ generation: UInt64,
        links: [Link],
        services: [Service],
        _ change: (inout SiteConfiguration) -> Void = { _ in }
    ) throws {
        let siteID = try Samples.siteID("A")
        var compilation = try Samples.compilation(of: site, ports: ports)
        var looked: [String: Service?] = [:]
        for name in serviceNames { looked[name] = .some(nil) }
        for service in services {
            compilation.set(service)
            looked[service.metadata.name] = service
        }
        compilation.setFrame(SiteCompilation.FrameInputs(site, siteID), site: site, links: links)
        let changed = try compilation.settle(at: Instant(nanoseconds: 1))
        var configuration = compilation.configuration
        change(&configuration)
        let head = ConfigurationHead(
            generation: generation,
            snapshotKey: "key",
            configuration: configuration,
            parts: compilation.layout.count == 0
                ? nil : (0..<compilation.layout.count).map(compilation.layout.digest)
        )
        beginChanges()
        take(head, compilation, services: looked, changed: changed, links: links)
    }
}
