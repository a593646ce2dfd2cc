import Certificates
import FoundationEssentials
import NetworkModel
import ProxyContract
import SiteControl
import Synchronization
import TestSupport
import Testing

@testable import Proxy

/// Addresses of 127.0.0.0/8 that no other test of this machine is likely to use.
enum Loopback {
    private static let next = Atomic<UInt32>(
        127 << 24 | UInt32.random(in: 16...250) << 16 | UInt32.random(in: 1...250) << 8
    )

    static func address() -> IPAddress {
        .v4(next.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}

/// One site with an identity of its own, and what its gateways are told.
final class TestSite: Sendable {
    let name: String
    let authority: SiteAuthority
    private let state: Mutex<(generation: UInt64, configuration: SiteConfiguration)>

    init(_ name: String, allow: [SiteID] = [], acceptsLinks: Bool = true) throws {
        self.name = name
        let authority = try SiteAuthority.make(now: Date())
        self.authority = authority
        state = Mutex(
            (
                0,
                SiteConfiguration(
                    site: SiteName(id: authority.siteID, name: name),
                    allow: allow.map { SiteName(id: $0) },
                    acceptsLinks: acceptsLinks,
                    health: .patient,
                    drain: DrainParameters(delay: .zero, grace: .milliseconds(500))
                )
            )
        )
    }

    var id: SiteID { authority.siteID }

    func credentials(_ role: ProxyRole = .gateway) throws -> ProxyCredentials {
        let leaf = try authority.issueLeaf(role: role, now: Date())
        return ProxyCredentials(certificateChain: leaf.chainPEM, privateKey: leaf.keyPEM)
    }

    /// A gateway that runs, without a configuration yet.
    func gateway(
        at address: IPAddress = Loopback.address(),
        mesh: IPAddress? = nil,
        loops: Int = 1,
        record: String? = nil
    ) throws -> Gateway {
        let proxy = try Proxy(
            options: ProxyOptions(
                role: .gateway(mesh: mesh.map { HostAndPort(host: "\($0)", port: 5672) }),
                bind: address,
                loops: loops,
                record: record
            ),
            credentials: credentials()
        )
        try proxy.start()
        return Gateway(proxy: proxy, address: address)
    }

    /// A sidecar that attaches to a gateway.
    func sidecar(
        of gateway: IPAddress,
        _ listeners: [SidecarListener] = [],
        loops: Int = 1,
        endsLast: Bool = false
    ) throws -> Proxy {
        let proxy = try Proxy(
            options: ProxyOptions(
                role: .sidecar(
                    gateways: HostAndPort(host: "\(gateway)", port: 5672),
                    listeners: listeners,
                    endsLast: endsLast
                ),
                loops: loops
            ),
            credentials: credentials(.sidecar)
        )
        try proxy.start()
        return proxy
    }

    /// Changes the configuration; the document to apply.
    func edit(_ change: (inout SiteConfiguration) -> Void) -> ConfigurationDocument {
        state.withLock { state in
            change(&state.configuration)
            state.generation += 1
            return ConfigurationDocument(
                generation: state.generation,
                snapshotKey: "key",
                configuration: state.configuration
            )
        }
    }
}

extension HealthParameters {
    /// No test here waits for silence, and a busy machine must not look like it.
    static let patient = HealthParameters(heartbeat: .milliseconds(250), misses: 20)
}

extension LinkConfiguration {
    init(
        patient name: String,
        to site: SiteID,
        at endpoint: HostAndPort,
        cost: Int32 = 1
    ) throws {
        try self.init(name, to: site, at: endpoint, cost: cost, health: .patient)
    }
}

struct Gateway {
    let proxy: Proxy
    let address: IPAddress

    var linkEndpoint: HostAndPort { HostAndPort(host: "\(address)", port: 5671) }
}

extension ProxySnapshot {
    var backend: [ServiceSnapshot.Target] {
        services.first { "\($0.service)" == "backend/http" }?.targets ?? []
    }

    func target(_ site: TestSite) -> ServiceSnapshot.Target? {
        backend.first { $0.site.id == site.id }
    }
}

extension Proxy {
    /// Waits until the snapshot shows `condition`; the last snapshot either way.
    @discardableResult
    func wait(
        _ what: String,
        limit: Duration = .seconds(10),
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: (ProxySnapshot) -> Bool
    ) async -> ProxySnapshot {
        let clock = ContinuousClock()
        let end = clock.now + limit
        var current = snapshot
        while !condition(current) {
            let rest = end - clock.now
            guard rest > .zero else {
                Issue.record("\(what): \(current)", sourceLocation: sourceLocation)
                return current
            }
            current = await snapshot(after: current.version, limit: rest)
        }
        return current
    }
}

/// Servers that are only named, never connected to.
func pods(_ count: Int) -> [LocalEndpoint] {
    (0..<count).map {
        LocalEndpoint(
            endpoint: Endpoint(address: .v4(127 << 24 | UInt32($0) + 1), port: 9),
            portName: nil,
            ready: true,
            serving: true,
            terminating: false
        )
    }
}
