import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

@Suite("A site's identity")
struct IdentityTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    private func decide(_ site: Site, _ secrets: SiteSecrets) -> String {
        switch IdentityDecision(site: site, secrets: secrets, now: start) {
        case .use(let authority): "use \(authority.siteID)"
        case .make: "make"
        case .lost(let record, let problem, _):
            problem.reason == .identityLost
                ? "lost \(record.siteID)" : "\(problem.reason) \(record.siteID)"
        case .unusable(let problem): problem.reason == .invalid ? "unusable" : "\(problem.reason)"
        }
    }

    @Test("K3: an identity is made only where none was ever recorded")
    func lost() throws {
        var site = Samples.site()
        #expect(decide(site, SiteSecrets()) == "make")
        let old = try Samples.siteID("A")
        site.status.siteID = old
        #expect(decide(site, SiteSecrets()) == "lost \(old)")
        guard
            case .lost(_, let problem, _) = IdentityDecision(
                site: site,
                secrets: SiteSecrets(),
                now: start
            )
        else { return }
        #expect(problem.message.contains("restore the Secret"))
        #expect(problem.message.contains("tieline.dev/new-identity: \(old)"))
    }

    @Test("K3: a wish for a new identity names the lost one, so it cannot come true twice")
    func wish() throws {
        var site = Samples.site()
        site.status.siteID = try Samples.siteID("A")
        site.metadata.annotations[Names.newIdentityAnnotation] = try Samples.siteID("A").text
        #expect(decide(site, SiteSecrets()) == "make")
        site.status.siteID = try Samples.siteID("B")
        #expect(decide(site, SiteSecrets()) == "lost \(try Samples.siteID("B"))")
        site.metadata.annotations[Names.newIdentityAnnotation] = "true"
        #expect(decide(site, SiteSecrets()) == "lost \(try Samples.siteID("B"))")
    }

    @Test("K3: without a status, certificates and configuration say who the site was")
    func traces() throws {
        let site = Samples.site()
        let authority = try SiteAuthority.make(now: start)
        let leaf = try IdentityPlan.leaf(
            role: .gateway,
            existing: nil,
            reading: nil,
            authority: authority,
            site: site,
            now: start
        )
        var secrets = SiteSecrets()
        secrets.credentials = leaf?.secret
        #expect(decide(site, secrets) == "lost \(authority.siteID)")
        // Another Site's, about to be collected, says nothing of this one.
        secrets.credentials?.metadata.ownerReferences[0].uid = "earlier"
        #expect(decide(site, secrets) == "make")
        // One that was orphaned does.
        secrets.credentials?.metadata.ownerReferences = []
        #expect(decide(site, secrets) == "lost \(authority.siteID)")
        let old = try Samples.siteID("C")
        secrets = SiteSecrets()
        secrets.configuration = try ConfigurationPlan.plan(
            configuration: SiteConfiguration(site: SiteName(id: old)),
            layout: ServiceLayout(count: 0),
            current: nil,
            existing: ConfigurationSecrets(),
            site: site,
            lastGeneration: 0,
            newKey: "k"
        ).writes.head?.secret
        #expect(decide(site, secrets) == "lost \(old)")
    }

    @Test("K3: a broken Secret is lost where an identity is known, and unusable where none is")
    func broken() throws {
        var site = Samples.site()
        var secrets = SiteSecrets()
        secrets.authority = Core.Secret {
            $0.metadata = ObjectMeta(name: ChildName.authoritySecret, namespace: "shop")
            $0.data = ["tls.crt": Data("x".utf8)]
        }
        #expect(decide(site, secrets) == "unusable")
        site.status.siteID = try Samples.siteID("A")
        #expect(decide(site, secrets) == "lost \(try Samples.siteID("A"))")
        // A Secret that is there is not overwritten, whatever the wish.
        site.metadata.annotations[Names.newIdentityAnnotation] = try Samples.siteID("A").text
        #expect(decide(site, secrets) == "lost \(try Samples.siteID("A"))")
    }

    @Test("a brought CA is waited for, told of when wrong, and never replaced by one of ours")
    func brought() throws {
        var site = Samples.site()
        site.spec.identity = BroughtIdentity(secretName: "mine")
        var secrets = SiteSecrets()
        #expect(decide(site, secrets) == "identityMissing")
        let authority = try SiteAuthority.make(now: start)
        secrets.authority = Samples.authoritySecret(authority)
        #expect(decide(site, secrets) == "use \(authority.siteID)")
        secrets.authority?.data["tls.key"] = Data("x".utf8)
        #expect(decide(site, secrets) == "certificateInvalid")
        let old = try Samples.siteID("A")
        site.status.siteID = old
        #expect(decide(site, secrets) == "certificateInvalid \(old)")
        secrets.authority = nil
        #expect(decide(site, secrets) == "identityMissing \(old)")
        // The lost one is not missed: another one is brought, or none.
        site.metadata.annotations[Names.newIdentityAnnotation] = old.text
        #expect(decide(site, secrets) == "identityMissing \(old)")
    }

    @Test("K3: another key is another site, and changes nothing before somebody asks for it")
    func another() throws {
        let old = try Samples.siteID("A")
        let authority = try SiteAuthority.make(now: start)
        for brought in [nil, BroughtIdentity(secretName: "mine")] {
            var site = Samples.site()
            site.spec.identity = brought
            site.status.siteID = old
            var secrets = SiteSecrets()
            secrets.authority = Samples.authoritySecret(authority)
            #expect(decide(site, secrets) == "identityMismatch \(old)")
            site.metadata.annotations[Names.nextIdentityAnnotation] = old.text
            #expect(decide(site, secrets) == "identityMismatch \(old)")
            site.metadata.annotations[Names.nextIdentityAnnotation] = authority.siteID.text
            #expect(decide(site, secrets) == "use \(authority.siteID)")
            // Whoever was stopped after the first certificate of the new identity is continued without the wish.
            site.metadata.annotations[Names.nextIdentityAnnotation] = nil
            secrets.credentials = try IdentityPlan.leaf(
                role: .gateway,
                existing: nil,
                reading: nil,
                authority: authority,
                site: site,
                now: start
            )?.secret
            #expect(decide(site, secrets) == "use \(authority.siteID)")
        }
    }

    @Test("the Secret of a brought CA is never written: a wish for another key says what to do")
    func broughtRotation() throws {
        let authority = try SiteAuthority.make(now: start)
        func problem(_ wish: IdentityWish?) -> String? {
            let rotation = IdentityRotation(wish: wish, brought: authority, in: "mine")
            #expect(rotation.changes.isEmpty)
            return rotation.problem
        }
        for wish in [nil, IdentityWish.forget, .use(authority.siteID)] {
            #expect(problem(wish) == nil)
        }
        #expect(problem(.prepare)?.contains("another Secret") == true)
        #expect(problem(.use(try Samples.siteID("A")))?.contains("mine") == true)
    }

    @Test("what is missing is waited for, what is wrong is Stalled, what ends soon is told")
    func broughtStatus() throws {
        var site = Samples.site()
        site.status.siteID = try Samples.siteID("A")
        func status(_ build: (inout SiteFacts) -> Void) throws -> SiteStatus {
            var facts = SiteFacts()
            facts.siteID = site.status.siteID
            facts.view = SiteView(gateways: [
                Samples.gateway(snapshot: try Samples.snapshot(generation: 5))
            ])
            facts.generation = 5
            build(&facts)
            return SiteSummary.make(site: site, facts: facts, at: Samples.now)
        }
        for (reason, type) in [
            (Reason.identityMissing, "Reconciling"), (.identityMismatch, "Stalled"),
            (.certificateInvalid, "Stalled"),
        ] {
            let status = try status { $0.identityProblem = IdentityProblem(reason, "why") }
            #expect(status.conditions[type: type]?.reason == reason.rawValue)
            #expect(status.proxies?.ready == 1)
        }
        let expiring = try status { $0.expiring = ["the CA ends"] }
        #expect(expiring.conditions.isTrue("Ready"))
        #expect(expiring.conditions[type: "CertificatesCurrent"]?.reason == "CertificateExpiring")
        let events = Transitions.conflict(site, before: [], after: expiring.conditions)
        #expect(events.map(\.reason) == [.certificateExpiring])
        let told = Transitions.conflict(
            site,
            before: expiring.conditions,
            after: expiring.conditions
        )
        #expect(told.isEmpty)
        #expect(try status { _ in }.conditions[type: "CertificatesCurrent"] == nil)
    }

    @Test("K3: a Site that lost its identity is Stalled and keeps what it says of itself")
    func status() throws {
        var site = Samples.site()
        site.status.siteID = try Samples.siteID("A")
        var facts = SiteFacts()
        facts.siteID = site.status.siteID
        facts.identityProblem = IdentityProblem(
            .identityLost,
            "the Secret is gone: restore it"
        )
        facts.view = SiteView(gateways: [
            Samples.gateway(snapshot: try Samples.snapshot(generation: 5))
        ])
        facts.generation = 5
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.conditions[type: "Stalled"]?.reason == "IdentityLost")
        #expect(status.conditions[type: "Ready"]?.message == facts.identityProblem?.message)
        #expect(status.conditions.isTrue("Accepted"))
        #expect(status.proxies?.ready == 1)
        let events = Transitions.conflict(site, before: [], after: status.conditions)
        #expect(events.map(\.reason) == [.identityLost])
    }

    @Test("K2: a status keeps the identity while the Secrets cannot be read")
    func unread() throws {
        var site = Samples.site()
        site.status.siteID = try Samples.siteID("A")
        var facts = SiteFacts()
        facts.applyFailure = ApplyFailure(isInvalid: false, message: "403 Forbidden")
        let status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(status.siteID == site.status.siteID)
    }

    @Test("K3: another identity rolls the gateways, and is one Event however often it is seen")
    func change() throws {
        let site = Samples.site()
        func template(_ letter: Character) throws -> ObjectMeta {
            GatewayDeployment.make(
                site: site,
                siteID: try Samples.siteID(letter),
                settings: Samples.settings
            ).spec.template.metadata
        }
        #expect(try template("A") == template("A"))
        #expect(try template("A") != template("B"))
        let (old, new) = (try Samples.siteID("A"), try Samples.siteID("B"))
        let event = Transitions.identityChanged(site, from: old, to: new)
        #expect(event.name == Transitions.identityChanged(site, from: old, to: new).name)
        #expect(event.note.contains("\(old) to \(new)"))
    }

    @Test("K15: orphaned credentials and configuration are adopted as they are")
    func adoption() throws {
        let site = Samples.site()
        let authority = try SiteAuthority.make(now: start)
        var leaf = try #require(
            try IdentityPlan.leaf(
                role: .gateway,
                existing: nil,
                reading: nil,
                authority: authority,
                site: site,
                now: start
            )
        ).secret
        leaf.metadata.ownerReferences = []
        leaf.metadata.uid = "uid-leaf"
        let write = try IdentityPlan.leaf(
            role: .gateway,
            existing: leaf,
            reading: LeafReading(leaf, of: .gateway, by: authority),
            authority: authority,
            site: site,
            now: start
        )
        #expect(write?.secret.metadata.controller?.uid == "uid-east")
        let configuration = SiteConfiguration(site: SiteName(id: authority.siteID))
        func plan(_ existing: Core.Secret?) throws -> SecretWrite? {
            try ConfigurationPlan.plan(
                configuration: configuration,
                layout: ServiceLayout(count: 0),
                current: ConfigurationPlan.read(existing),
                existing: ConfigurationSecrets(head: existing),
                site: site,
                lastGeneration: 0,
                newKey: "k"
            ).writes.head
        }
        var stored = try #require(try plan(nil)).secret
        #expect(try plan(stored) == nil)
        stored.metadata.ownerReferences = []
        #expect(try plan(stored)?.secret.metadata.controller?.uid == "uid-east")
    }
}
