import FoundationEssentials
import KubernetesAPI
import NetworkModel
import ProxyContract
import Testing

@testable import NetworkAPI

@Suite("Grants of tokens")
struct GrantLedgerTests {
    private let now = Timestamp(seconds: 1_800_000_000)

    private func siteID(_ letter: Character) throws -> SiteID {
        try #require(SiteID(String(repeating: letter, count: SiteID.length)))
    }

    private func claim(_ letter: Character, _ grant: String = "one") throws -> JoinedSite {
        JoinedSite(grant: grant, site: SiteName(id: try siteID(letter), name: "site"))
    }

    private func ledger(uses: Int) throws -> GrantLedger {
        var ledger = GrantLedger(nil)
        let grant = JoinGrant(key: Data([1]), expires: now + .seconds(60), uses: uses)
        try ledger.issue("one", grant, at: now)
        return stored(ledger)
    }

    /// As it is read after its changes were written.
    private func stored(_ ledger: GrantLedger, over secret: Core.Secret? = nil) -> GrantLedger {
        GrantLedger(
            Core.Secret {
                $0.data = (secret?.data ?? [:]).merging(
                    ledger.changes.compactMapValues(\.self)
                ) { $1 }
            }
        )
    }

    @Test("a token lets as many sites in as it is for; a claim made again changes nothing")
    func uses() throws {
        var ledger = try ledger(uses: 2)
        #expect(try ledger.admit([claim("A")]) == [claim("A")])
        ledger = stored(ledger)
        #expect(try ledger.admit([claim("A")]).isEmpty)
        #expect(ledger.changes.isEmpty)
        #expect(try ledger.admit([claim("B"), claim("C")]) == [claim("B")])
        ledger = stored(ledger)
        #expect(ledger.admitted.map(\.siteID) == [try siteID("A"), try siteID("B")])
        #expect(ledger.configured.map(\.uses) == [0])
        #expect(try ledger.admit([claim("C"), claim("D", "two")]).isEmpty)
    }

    @Test("who was cut off does not come back by the same token, nor another one in its place")
    func revocation() throws {
        var ledger = try ledger(uses: 1)
        _ = try ledger.admit([claim("A")])
        ledger = stored(ledger)
        try ledger.revoke(siteID("A"))
        ledger = stored(ledger)
        #expect(ledger.admitted.isEmpty)
        #expect(ledger.configured.map(\.revoked) == [[try siteID("A")]])
        #expect(try ledger.admit([claim("A"), claim("B")]).isEmpty)
    }

    @Test("what expired unused is forgotten with the next token, what was used is kept")
    func expiry() throws {
        var ledger = try ledger(uses: 1)
        let later = now + .seconds(120)
        let next = JoinGrant(key: Data([2]), expires: later + .seconds(60), uses: 1)
        try ledger.issue("two", next, at: later)
        #expect(ledger.changes["one"] == .some(nil))
        ledger = try self.ledger(uses: 1)
        _ = try ledger.admit([claim("A")])
        ledger = stored(ledger)
        try ledger.issue("two", next, at: later)
        #expect(ledger.changes.keys.sorted() == ["two"])
    }

    @Test("sites that came by a token are let in like listed ones, once each")
    func configuration() throws {
        var ledger = try ledger(uses: 2)
        _ = try ledger.admit([claim("B"), claim("C")])
        var site = Site(metadata: ObjectMeta(name: "east", namespace: "shop"))
        site.spec.allow = [NamedSite(siteID: try siteID("B"), name: "west")]
        let frame = compileFrame(
            site: site,
            siteID: try siteID("A"),
            links: [],
            joins: Joins(ledger)
        )
        #expect(
            frame.configuration.allow == [
                SiteName(id: try siteID("B"), name: "west"), SiteName(id: try siteID("C")),
            ]
        )
        #expect(frame.configuration.grants?.count == 1)
    }

    @Test("a token is read as it was written, and says what it lacks")
    func token() throws {
        let token = JoinToken(
            grant: "one",
            secret: "S",
            siteID: try siteID("A"),
            endpoints: [LinkEndpoint(host: "east.example.com", port: 5671)],
            expires: now
        )
        var secret = try token.secret(named: "east-token")
        #expect(try JoinToken(secret) == token)
        secret.data["secret"] = nil
        #expect(throws: TokenProblem("it has no secret")) { try JoinToken(secret) }
    }
}
