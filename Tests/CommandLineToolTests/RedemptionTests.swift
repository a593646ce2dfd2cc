import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import CommandLineTool

@Suite("token redeem")
struct RedemptionTests {
    private let now = Timestamp(seconds: 1_800_000_000)

    private func printed(expires: Timestamp) throws -> String {
        let siteID = try #require(SiteID(String(repeating: "A", count: SiteID.length)))
        let token = JoinToken(
            grant: "one",
            secret: "S",
            siteID: siteID,
            endpoints: [LinkEndpoint(host: "east.example.com", port: 5671)],
            expires: expires
        )
        return try Document.yamlLikeJSON(Envelope(try token.secret(named: "east-token")))
    }

    private func redeem(_ text: String) throws -> Redemption {
        try Redemption(
            text,
            link: nil,
            namespace: "shop",
            controllerNamespace: "tieline-system",
            at: now
        )
    }

    @Test("a token gives a Link that is pinned, and the right to read the token")
    func link() throws {
        let text = try redeem(printed(expires: now + .seconds(60))).text(cost: LinkCost(20))
        for part in [
            "kind: Secret", "kind: Role", "kind: RoleBinding", "kind: Link", "name: east\n",
            "cost: 20", "host: east.example.com",
            "remoteSiteID: \(String(repeating: "A", count: SiteID.length))", "name: east-token",
            "secret: \(Data("S".utf8).base64EncodedString())",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
    }

    @Test("what is no token, or none any more, says so")
    func problems() throws {
        #expect(throws: Redemption.Problem.unreadable("it is no Secret")) { try redeem("a: [") }
        #expect(throws: Redemption.Problem.unreadable("it has no grant")) {
            try redeem("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n")
        }
        let text = try printed(expires: now + .seconds(-1))
        #expect(throws: Redemption.Problem.expired(at: now + .seconds(-1), now: now)) {
            try redeem(text)
        }
    }
}
