import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

@Suite("A planned change of a site's identity")
struct IdentityRotationTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    private func plan(_ wish: String?, _ secret: Core.Secret) throws -> IdentityRotation {
        try IdentityRotation(
            wish: wish.map { IdentityWish($0) },
            secret: secret,
            current: try IdentityPlan.authority(secret, now: start),
            now: start
        )
    }

    /// What the Secret holds afterwards.
    private func after(_ wish: String?, _ secret: Core.Secret) throws -> Core.Secret {
        var stored = secret
        for (key, value) in try plan(wish, secret).changes { stored.data[key] = value }
        return stored
    }

    private func current(_ secret: Core.Secret) throws -> SiteID {
        try IdentityPlan.authority(secret, now: start).siteID
    }

    private func others(_ secret: Core.Secret) -> OtherIdentities {
        IdentityRotation.others(secret, now: start)
    }

    private func identity() throws -> Core.Secret {
        try IdentityPlan.newAuthority(site: Samples.site(), now: start)
    }

    @Test("K3: without a wish nothing is changed, whatever the Secret holds")
    func noWish() throws {
        let secret = try identity()
        #expect(try plan(nil, secret).changes.isEmpty)
        let prepared = try after("prepare", secret)
        #expect(try plan(nil, prepared).changes.isEmpty)
        #expect(try plan(nil, prepared).problem == nil)
    }

    @Test("K3: another identity is prepared once, beside the one in use")
    func prepare() throws {
        let secret = try identity()
        let prepared = try after("prepare", secret)
        #expect(try current(prepared) == current(secret))
        #expect(others(prepared).next != nil)
        #expect(try others(prepared).next != current(secret))
        #expect(try plan("prepare", prepared).changes.isEmpty)
        // One that cannot be used is none.
        var broken = prepared
        broken.data["next.key"] = Data("x".utf8)
        #expect(others(broken).next == nil)
        #expect(try plan("prepare", broken).changes.keys.sorted() == ["next.crt", "next.key"])
    }

    @Test("K3: the named identity takes over in one write, both keys stay, once")
    func activation() throws {
        let secret = try identity()
        let old = try current(secret)
        let prepared = try after("prepare", secret)
        let new = try #require(others(prepared).next)
        let changed = try after(new.text, prepared)
        #expect(try current(changed) == new)
        #expect(others(changed) == OtherIdentities(previous: old))
        #expect(changed.data["previous.key"] == secret.data["tls.key"])
        #expect(try plan(new.text, changed).changes.isEmpty)
        #expect(try plan(new.text, changed).problem == nil)
        // Back again, as long as the key is there.
        let back = try after(old.text, changed)
        #expect(try current(back) == old)
        #expect(others(back) == OtherIdentities(previous: new))
        // The next rotation, and its end.
        let again = try after("prepare", changed)
        let third = try #require(others(again).next)
        #expect(others(again).previous == old)
        let last = try after(third.text, again)
        #expect(others(last) == OtherIdentities(previous: new))
        let done = try after("none", last)
        #expect(done.data.keys.sorted() == ["tls.crt", "tls.key"])
        #expect(try plan("none", done).changes.isEmpty)
    }

    @Test("K3: an identity without a key, and a word that is none, change nothing and are told")
    func unknown() throws {
        let prepared = try after("prepare", identity())
        let stranger = try Samples.siteID("Z")
        let plan = try plan(stranger.text, prepared)
        #expect(plan.changes.isEmpty)
        let problem = try #require(plan.problem)
        #expect(problem.contains("\(stranger)"))
        #expect(problem.contains("\(try current(prepared)) (in use)"))
        #expect(problem.contains("\(try #require(others(prepared).next)) (prepared)"))
        for text in ["", "yes", "Prepare"] {
            let plan = try self.plan(text, prepared)
            #expect(plan.changes.isEmpty)
            #expect(plan.problem?.contains("\"\(text)\"") == true)
        }
    }

    @Test("K3: a status names the other identities, and keeps them while the Secret cannot be read")
    func status() throws {
        var site = Samples.site()
        var facts = SiteFacts()
        facts.siteID = try Samples.siteID("A")
        facts.otherIdentities = OtherIdentities(next: try Samples.siteID("B"))
        site.status = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(site.status.nextSiteID == facts.otherIdentities?.next)
        facts.otherIdentities = nil
        facts.applyFailure = ApplyFailure(isInvalid: false, message: "403 Forbidden")
        let unread = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(unread.nextSiteID == site.status.nextSiteID)
        facts.otherIdentities = OtherIdentities(previous: try Samples.siteID("B"))
        let later = SiteSummary.make(site: site, facts: facts, at: Samples.now)
        #expect(later.nextSiteID == nil)
        #expect(later.previousSiteID == facts.otherIdentities?.previous)
    }

    @Test("K3: a gateway of the former identity makes a Site Progressing, not Stalled")
    func rolling() throws {
        var facts = SiteFacts()
        facts.generation = 6
        facts.view = SiteView(gateways: [
            Samples.gateway(
                snapshot: try Samples.snapshot(generation: 5) {
                    $0.configurationError = "the configuration is for another site"
                }
            )
        ])
        func reason(_ site: Character) throws -> String? {
            facts.siteID = try Samples.siteID(site)
            let status = SiteSummary.make(site: Samples.site(), facts: facts, at: Samples.now)
            return status.conditions[type: "Programmed"]?.reason
        }
        #expect(try reason("A") == "Invalid")
        #expect(try reason("B") == "Progressing")
    }

    @Test("K3: a planned change is no warning")
    func events() throws {
        let (site, old, new) = (Samples.site(), try Samples.siteID("A"), try Samples.siteID("B"))
        let planned = Transitions.identityChanged(site, from: old, to: new, isPlanned: true)
        let lost = Transitions.identityChanged(site, from: old, to: new)
        #expect(!planned.isWarning && lost.isWarning)
        #expect(planned.note.contains("\(old) to \(new)"))
        #expect(Transitions.identityPrepared(site, next: new).note.contains("\(new)"))
    }
}
