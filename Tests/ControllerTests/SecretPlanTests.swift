import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import Testing

@testable import Controller

@Suite("Identity and configuration")
struct SecretPlanTests {
    private let site = Samples.site()
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    @Test("the identity has no owner, so it outlives the Site")
    func authority() throws {
        let secret = try IdentityPlan.newAuthority(site: site, now: start)
        #expect(secret.metadata.ownerReferences.isEmpty)
        #expect(secret.metadata.name == "tieline-site-ca")
        let authority = try IdentityPlan.authority(secret, now: start)
        #expect(authority.siteID.text.count == 26)
    }

    @Test("a leaf is kept until two thirds of its life, then renewed; another CA's is replaced")
    func leaf() throws {
        let authority = try SiteAuthority.make(now: start)
        func plan(_ existing: Core.Secret?, _ authority: SiteAuthority, days: Double) throws
            -> SecretWrite?
        {
            try IdentityPlan.leaf(
                role: .gateway,
                existing: existing,
                reading: existing.map { LeafReading($0, of: .gateway, by: authority) },
                authority: authority,
                site: site,
                now: start + days * 86_400
            )
        }
        let first = try #require(try plan(nil, authority, days: 0))
        #expect(first.mode == .create)
        #expect(first.secret.metadata.controller?.uid == site.metadata.uid)
        var stored = first.secret
        stored.metadata.uid = "uid-leaf"
        #expect(try plan(stored, authority, days: 4) == nil)
        let second = try #require(try plan(stored, authority, days: 4.7))
        #expect(second.mode == .apply)
        // Whoever comes after a crash can tell of it, and the first one is no renewal.
        let renewal = Timestamp(seconds: Int64((start + 4.7 * 86_400).timeIntervalSince1970))
        #expect(IdentityPlan.renewed(second.secret) == renewal)
        #expect(IdentityPlan.renewed(stored) == nil)
        #expect(second.secret.metadata.uid == "uid-leaf")
        #expect(second.secret.data["tls.key"] != stored.data["tls.key"])
        #expect(try plan(stored, SiteAuthority.make(now: start), days: 0)?.mode == .apply)
    }

    @Test("a leaf is read once for a content and an authority")
    func reading() throws {
        let (authority, other) = (
            try SiteAuthority.make(now: start), try SiteAuthority.make(now: start)
        )
        func leaf(of role: ProxyRole) throws -> Core.Secret {
            let write = try IdentityPlan.leaf(
                role: role,
                existing: nil,
                reading: nil,
                authority: authority,
                site: site,
                now: start
            )
            return try #require(write).secret
        }
        var objects = SiteObjects(of: Samples.site(), read: Samples.start)
        let none = objects.reading(of: .gateway)
        #expect(none == nil)
        objects.authority = authority
        objects.secrets.credentials = try leaf(of: .gateway)
        let read = objects.reading(of: .gateway)
        let first = try #require(read)
        #expect(first.isIssued && first.siteID == authority.siteID)
        let stored = try #require(objects.secrets.credentials)
        #expect(first.holds(stored, by: authority))
        objects.secrets.credentials?.metadata.resourceVersion = "8"
        let again = objects.reading(of: .gateway)
        #expect(again == first)
        #expect(objects.leaves.count == 1)
        #expect(!first.holds(stored, by: other))
        objects.authority = other
        let ofOther = objects.reading(of: .gateway)
        #expect(ofOther?.isIssued == false)
        objects.authority = authority
        objects.secrets.credentials = try leaf(of: .sidecar)
        let sidecar = objects.reading(of: .gateway)
        #expect(sidecar?.isIssued == false, "another content")
        objects.secrets.credentials = stored
        objects.secrets.credentials?.data["tls.key"] = nil
        let withoutKey = objects.reading(of: .gateway)
        #expect(withoutKey?.isIssued == false)
    }

    private func plan(
        _ configuration: SiteConfiguration,
        _ layout: ServiceLayout = ServiceLayout(count: 0),
        over existing: ConfigurationSecrets = ConfigurationSecrets(),
        last: UInt64 = 0,
        key: String = "k2"
    ) throws -> (writes: ConfigurationWrites, head: ConfigurationHead) {
        try ConfigurationPlan.plan(
            configuration: configuration,
            layout: layout,
            current: ConfigurationPlan.read(existing.head),
            existing: existing,
            site: site,
            lastGeneration: last,
            newKey: key
        )
    }

    private func stored(_ write: SecretWrite) -> Core.Secret {
        var secret = write.secret
        secret.metadata.uid = "uid-\(secret.metadata.name)"
        secret.metadata.resourceVersion = "44"
        return secret
    }

    @Test("the configuration is written only when it differs; then the generation grows by one")
    func configuration() throws {
        var configuration = SiteConfiguration(
            site: SiteName(id: try Samples.siteID("A"), name: "east")
        )
        let first = try plan(configuration, key: "k1")
        #expect(first.head.generation == 1)
        let secrets = ConfigurationSecrets(head: stored(try #require(first.writes.head)))
        #expect(try plan(configuration, over: secrets).writes.isEmpty)
        configuration.acceptsLinks = true
        let second = try plan(configuration, over: secrets)
        #expect(second.head.generation == 2)
        #expect(second.head.snapshotKey == "k1")
        #expect(second.writes.head?.secret.metadata.resourceVersion == "44")
        #expect(second.writes.head?.mode == .apply)
        #expect(try plan(configuration, over: secrets, last: 9).head.generation == 10)
    }

    @Test("a Secret that was deleted begins again above what the gateways have")
    func deleted() throws {
        let configuration = SiteConfiguration(site: SiteName(id: try Samples.siteID("A")))
        let plan = try plan(configuration, last: 41)
        #expect(plan.head.generation == 42)
        #expect(plan.writes.head?.mode == .create)
    }

    /// Services named s0, s1 ...; `edited` has other time limits.
    private func fill(
        _ layout: inout ServiceLayout,
        _ range: Range<Int>,
        edited: Int? = nil
    ) throws {
        for index in range {
            let name = "s\(index)"
            var service = ServiceConfiguration(
                name: name,
                address: try #require(ServiceAddress(name)),
                ports: []
            )
            if index == edited { service.timeouts.idle = .seconds(7) }
            try layout.set(name, service)
        }
        _ = layout.settle { $0 < $1 }
    }

    @Test("K18: an edit of one of 1,000 services writes one part, then the head")
    func parts() throws {
        let configuration = SiteConfiguration(site: SiteName(id: try Samples.siteID("A")))
        var layout = ServiceLayout(count: 0)
        try fill(&layout, 0..<1_000)
        #expect(layout.count == 16)
        let first = try plan(configuration, layout)
        #expect(first.writes.parts.count == 16 && first.head.parts?.count == 16)
        var secrets = ConfigurationSecrets(head: stored(try #require(first.writes.head)))
        for part in first.writes.parts { secrets.parts[part.key] = stored(part.write) }
        let head = try #require(ConfigurationPlan.read(secrets.head))
        #expect(Set(secrets.services(head).map(\.name)) == Set((0..<1_000).map { "s\($0)" }))
        #expect(try plan(configuration, layout, over: secrets).writes.isEmpty)

        try fill(&layout, 0..<1_000, edited: 400)
        let second = try plan(configuration, layout, over: secrets)
        let index = ConfigurationPart.index(of: "s400", among: 16)
        #expect(second.writes.parts.map(\.key) == [index] && second.writes.head != nil)
        // Whichever of the two heads is there after a crash finds its content.
        secrets.parts[index] = stored(try #require(second.writes.parts.first).write)
        #expect(Set(secrets.services(head).map(\.name)).count == 1_000)
        let edited = secrets.services(second.head).first { $0.name == "s400" }
        #expect(edited?.timeouts.idle == .seconds(7))

        // A part that is lost, or does not say what the head names, is written again.
        secrets.head = stored(try #require(second.writes.head))
        secrets.parts[3] = nil
        secrets.parts[4]?.data = [:]
        let third = try plan(configuration, layout, over: secrets)
        #expect(third.writes.parts.map(\.key) == [3, 4] && third.writes.head == nil)
        #expect(third.head == second.head)
        #expect(third.writes.parts.map(\.write.mode) == [.create, .apply])
    }

    @Test("parts that are not needed any more go after the head that does not name them")
    func fewer() throws {
        let configuration = SiteConfiguration(site: SiteName(id: try Samples.siteID("A")))
        var layout = ServiceLayout(count: 0)
        try fill(&layout, 0..<100)
        let first = try plan(configuration, layout)
        var secrets = ConfigurationSecrets(head: stored(try #require(first.writes.head)))
        for part in first.writes.parts { secrets.parts[part.key] = stored(part.write) }
        #expect(layout.count == 2)
        for index in 40..<100 { try layout.set("s\(index)", nil) }
        _ = layout.settle { $0 < $1 }
        #expect(layout.count == 2, "few more would bring them back")
        for index in 10..<40 { try layout.set("s\(index)", nil) }
        _ = layout.settle { $0 < $1 }
        #expect(layout.count == 0)
        let last = try plan(configuration, layout, over: secrets)
        #expect(last.writes.unused == [1, 0] && last.head.parts == nil)
    }
}
