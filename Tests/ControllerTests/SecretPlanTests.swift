import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration
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
        #expect(second.secret.metadata.uid == "uid-leaf")
        #expect(second.secret.data["tls.key"] != stored.data["tls.key"])
        #expect(try plan(stored, SiteAuthority.make(now: start), days: 0)?.mode == .apply)
    }

    @Test("the configuration is written only when it differs; then the generation grows by one")
    func configuration() throws {
        var configuration = SiteConfiguration(
            site: SiteName(id: try Samples.siteID("A"), name: "east")
        )
        let first = try ConfigurationPlan.plan(
            configuration: configuration,
            existing: nil,
            site: site,
            lastGeneration: 0,
            newKey: "k1"
        )
        #expect(first.document.generation == 1)
        var stored = try #require(first.write).secret
        stored.metadata.uid = "uid-c"
        stored.metadata.resourceVersion = "44"
        func next(_ last: UInt64 = 0) throws -> (
            write: SecretWrite?, document: ConfigurationDocument
        ) {
            try ConfigurationPlan.plan(
                configuration: configuration,
                existing: stored,
                site: site,
                lastGeneration: last,
                newKey: "k2"
            )
        }
        #expect(try next().write == nil)
        configuration.acceptsLinks = true
        let second = try next()
        #expect(second.document.generation == 2)
        #expect(second.document.snapshotKey == "k1")
        #expect(second.write?.secret.metadata.resourceVersion == "44")
        #expect(second.write?.mode == .apply)
        #expect(try next(9).document.generation == 10)
    }

    @Test("a Secret that was deleted begins again above what the gateways have")
    func deleted() throws {
        let plan = try ConfigurationPlan.plan(
            configuration: SiteConfiguration(site: SiteName(id: try Samples.siteID("A"))),
            existing: nil,
            site: site,
            lastGeneration: 41,
            newKey: "k"
        )
        #expect(plan.document.generation == 42)
        #expect(plan.write?.mode == .create)
    }
}
