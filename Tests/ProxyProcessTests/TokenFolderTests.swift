import Certificates
import Foundation
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import SiteFolder
import Testing

@testable import ProxyProcess

@Suite("Tokens of a plain site")
struct TokenFolderTests {
    private func grant(uses: Int = 1) -> JoinGrant {
        JoinGrant(key: Data([1]), expires: Timestamp(seconds: 4_000_000_000), uses: uses)
    }

    private func site(_ number: Int) throws -> SiteID {
        let letters = Array("ABCDEFGHIJKLMNOP")
        let text = String([letters[number / 16], letters[number % 16]])
        return try #require(SiteID(text + String(repeating: "A", count: SiteID.length - 2)))
    }

    private func token() throws -> JoinToken {
        JoinToken(
            grant: "one",
            secret: "unheard of",
            siteID: try site(1),
            endpoints: [],
            expires: Timestamp(seconds: 4_000_000_000)
        )
    }

    @Test("what many change at once is what they would have made of it one after the other")
    func concurrent() async throws {
        try await withDirectory { path in
            try GrantFolder(state: path).change {
                try $0.issue("one", grant(uses: 20), at: Timestamp(seconds: 0))
            }
            let names = try (0..<40).map(site)
            let new = try await withThrowingTaskGroup(of: Int.self) { group in
                for name in names {
                    group.addTask { try Self.admit(name, path) }
                }
                return try await group.reduce(0, +)
            }
            let admitted = try GrantFolder(state: path).read().admitted.map(\.siteID)
            #expect(admitted.count == 20 && Set(admitted).count == 20)
            #expect(new == 20)
        }
    }

    /// How often a site is new that comes twice: repeating changes nothing.
    private static func admit(_ site: SiteID, _ path: String) throws -> Int {
        let claim = JoinedSite(grant: "one", site: SiteName(id: site))
        var count = 0
        for _ in 0..<2 {
            try GrantFolder(state: path).change { count += try $0.admit([claim]).count }
        }
        return count
    }

    @Test("one that cannot be read is told, and shuts nobody out without a word")
    func broken() async throws {
        try await withDirectory { path in
            let folder = GrantFolder(state: path)
            #expect(try folder.read().grants.isEmpty)
            try folder.change { try $0.issue("one", grant(), at: Timestamp(seconds: 0)) }
            try write("{", "\(folder.path)/two.json")
            let problem = #expect(throws: FileProblem.self) { try folder.read() }
            #expect(problem?.description.contains("two.json") == true)
            #expect(throws: FileProblem.self) { try folder.change { _ in } }
        }
    }

    @Test("a token and a grant become part of the configuration, and who came is let in")
    func configuration() async throws {
        try await withDirectory { path in
            try write(
                """
                apiVersion: tieline.dev/v1alpha1
                kind: Site
                metadata: {name: plain}
                ---
                apiVersion: tieline.dev/v1alpha1
                kind: Link
                metadata: {name: west}
                spec:
                  endpoints: [{host: west.example.com, port: 5671}]
                  remoteSiteID: BBBBBBBBBBBBBBBBBBBBBBBBBB
                  tokenSecret: {name: west-token}
                """,
                "\(path)/site.yaml"
            )
            let directory = SiteDirectory(path: path, bind: nil, state: path)
            let before = try #require(directory.read(siteID: try siteID()).configuration)
            #expect(before.links.first?.token == nil && before.allow.isEmpty)

            try TokenFolder(state: path).store(try token().secret(named: "west-token"))
            let joined = JoinedSite(grant: "one", site: SiteName(id: try site(7)))
            try GrantFolder(state: path).change {
                try $0.issue("one", grant(), at: Timestamp(seconds: 0))
                _ = try $0.admit([joined])
            }
            let after = try #require(directory.read(siteID: try siteID()).configuration)
            #expect(after.links.first?.token?.key == JoinSecret.key(of: "unheard of"))
            #expect(after.allow.map(\.id) == [try site(7)])
            #expect(after.grants?.map(\.uses) == [0])
        }
    }

    @Test("why a Link cannot use its token")
    func problems() async throws {
        try await withDirectory { path in
            var state = SiteApplier.State()
            #expect(state.tokenProblem("west-token")?.contains("redeem") == true)
            let folder = TokenFolder(state: path)
            try folder.store(try token().secret(named: "good"))
            try write("{}", "\(folder.path)/bad.json")
            state.tokens = folder.read()
            #expect(state.tokenProblem("good") == nil)
            #expect(state.tokenProblem("bad")?.contains("bad.json is no token") == true)
        }
    }
}
