import Foundation
import NetworkModel
import ProxyContract
import Testing

@testable import CommandLineTool

@Suite("Explanations")
struct ExplanationTests {
    private func site(_ letter: Character, _ name: String) throws -> SiteName {
        let id = try #require(SiteID(String(repeating: letter, count: SiteID.length)))
        return SiteName(id: id, name: name)
    }

    private func perceived(_ top: Int, _ bottom: Int) -> ServiceExplanation.Perceived {
        .init(
            exact: bottom == 1 ? "\(top)" : "\(top)/\(bottom)",
            decimal: Double(top) / Double(bottom)
        )
    }

    private func explanation() throws -> ServiceExplanation {
        let (east, west, dr) = (
            try site("A", "east"), try site("B", "west\u{1B}[2J"), try site("C", "dr")
        )
        let proxy = ProxyID(site: east.id, instance: 1)
        var first = ServiceExplanation.Candidate(site: west, state: .usable, tier: 0, endpoints: 3)
        (first.pathCost, first.cost) = (PathCost(5), PathCost(5))
        (first.weight, first.own, first.others) = (3, 20, 6)
        first.perceived = perceived(41, 3)
        first.routes = [[.init(proxy: ProxyID(site: west.id, instance: 2), site: west)]]
        var second = ServiceExplanation.Candidate(site: east, state: .usable, tier: 0, endpoints: 2)
        (second.pathCost, second.cost) = (.zero, PathCost(15))
        (second.weight, second.weightThousandths) = (4, 250)
        second.perceived = perceived(15, 1)
        second.routes = [[]]
        var third = ServiceExplanation.Candidate(site: dr, state: .excluded, tier: 1, endpoints: 1)
        (third.pathCost, third.reason) = (PathCost(7), "NoWeight")
        let time = Timestamp(seconds: 1_800_000_000)
        let seen = [
            ServiceExplanation.Decision.Seen(
                site: west,
                tier: 0,
                isPreferred: true,
                cost: PathCost(5),
                open: 25,
                perceived: perceived(40, 3)
            )
        ]
        return ServiceExplanation(
            proxy: proxy,
            site: east,
            service: try #require(ServicePort("backend/http")),
            time: time,
            candidates: [first, second, third],
            decisions: [.init(number: 9, time: time, site: west, seen: seen)],
            servers: [.init(endpoint: "10.0.0.1:80", state: "Ready", connections: 0)]
        )
    }

    @Test("the table says what decides, the sentence where the next connection goes")
    func text() throws {
        let lines = try explanation().text.split(separator: "\n", omittingEmptySubsequences: false)
            .map {
                $0.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
            }
        #expect(
            Array(lines[2...6]) == [
                "RANK SITE STATE PERCEIVED COST OPEN WEIGHT TIER ROUTE WHY NOT",
                "1 west?[2J Usable 41/3 = 13.67 5 26 3 1 west?[2J -",
                "2 east Usable 15 15 (path 0) 0 4 x 250/1000 (2 endpoints) 1 local costs more",
                "- dr Excluded <none> 7 0 <none> 2 <none> NoWeight", "",
            ]
        )
        #expect(
            lines[7] == "The next connection goes to west?[2J, at a perceived cost of 41/3 = 13.67."
        )
        #expect(lines.contains("10.0.0.1:80 Ready 0"))
        #expect(lines.contains("2027-01-15T08:00:00Z west?[2J west?[2J 40/3 = 13.33"))
    }

    @Test("an explanation of another version is read with fields that nobody knows")
    func coding() throws {
        let explanation = try explanation()
        let data = try JSONEncoder().encode(ServiceExplanations(items: [explanation]))
        #expect(
            try JSONDecoder().decode(ServiceExplanations.self, from: data).items == [explanation]
        )
    }
}
