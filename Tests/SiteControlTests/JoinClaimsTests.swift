import FoundationEssentials
import NetworkModel
import ProxyContract
import Testing

@testable import SiteControl

@Suite("Claims of sites with a token")
struct JoinClaimsTests {
    private let wall = Timestamp(seconds: 1_000)

    private func site(_ letter: Character) throws -> SiteName {
        SiteName(id: try #require(SiteID(String(repeating: letter, count: SiteID.length))))
    }

    private func grant(uses: Int = 1, revoked: [SiteID]? = nil) -> GrantConfiguration {
        GrantConfiguration(
            name: "one",
            key: Data(),
            expires: 1_060,
            uses: uses,
            revoked: revoked
        )
    }

    private func claim(
        _ verdict: JudgedClaim.Verdict = .proved,
        _ name: String = "one"
    ) -> JudgedClaim {
        JudgedClaim(grant: name, verdict: verdict)
    }

    @Test("a proved claim waits for the controller, once for a site, as often as the token is for")
    func proved() throws {
        var claims = JoinClaims()
        let grants = [grant(uses: 2)]
        for letter in ["A", "A", "B", "C"] as [Character] {
            let answer = claims.take(claim(), of: try site(letter), among: grants, wall: wall)
            #expect(answer.contains(letter == "C" ? "was used" : "is good"))
        }
        #expect(claims.waiting.map(\.site) == [try site("A"), try site("B")])
        claims.configured(allow: [try site("A")], grants: grants)
        #expect(claims.waiting.map(\.site) == [try site("B")])
        claims.configured(allow: [], grants: [])
        #expect(claims.waiting.isEmpty)
    }

    @Test("whom others were faster than, through another gateway, is told so and waits no longer")
    func late() throws {
        var claims = JoinClaims()
        for letter in ["B", "C"] as [Character] {
            let grants = [grant(uses: 2)]
            _ = claims.take(claim(), of: try site(letter), among: grants, wall: wall)
        }
        claims.configured(allow: [try site("A")], grants: [grant(uses: 1)])
        #expect(claims.waiting.map(\.site) == [try site("B")])
        let used = [grant(uses: 0)]
        claims.configured(allow: [try site("A"), try site("D")], grants: used)
        #expect(claims.waiting.isEmpty)
        let answer = claims.take(claim(), of: try site("B"), among: used, wall: wall)
        #expect(answer.contains("was used by as many"))
    }

    @Test("who was cut off takes no place of a token that others may still come by")
    func cutOff() throws {
        var claims = JoinClaims()
        let grants = [grant(uses: 2, revoked: [try site("A").id])]
        let answer = claims.take(claim(), of: try site("A"), among: grants, wall: wall)
        #expect(answer.contains("before it was cut off"))
        #expect(claims.waiting.isEmpty)
    }

    @Test("each refusal names its cause, and leaves nothing")
    func refused() throws {
        var claims = JoinClaims()
        func answer(_ claim: JudgedClaim, _ grants: [GrantConfiguration], at seconds: Int64 = 1_000)
            throws -> String
        {
            let wall = Timestamp(seconds: seconds)
            return claims.take(claim, of: try site("A"), among: grants, wall: wall)
        }
        #expect(try answer(claim(.wrong), [grant()]).contains("none of this site's"))
        #expect(try answer(claim(.proved, "two"), [grant()]).contains("withdrawn"))
        #expect(try answer(claim(), [grant()], at: 1_061).contains("expired"))
        #expect(try answer(claim(), [grant(uses: 0)]).contains("used by as many"))
        #expect(try answer(claim(.unheard), [grant()]).contains("made again by itself"))
        #expect(claims.waiting.isEmpty)
    }
}
