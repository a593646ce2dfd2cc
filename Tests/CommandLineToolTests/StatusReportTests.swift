import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import CommandLineTool

@Suite("Status tables")
struct StatusReportTests {
    @Test("columns are aligned and nothing trails")
    func alignment() {
        var table = Table(["A", "LONGER"])
        table.add(["wide cell", "x"])
        table.add([nil, ""])
        #expect(table.text == "A           LONGER\nwide cell   x\n<none>      <none>\n")
    }

    @Test("a name from another site cannot send escape codes to the terminal")
    func escapes() {
        var table = Table(["SITE"])
        table.add(["west\u{1B}[2J"])
        #expect(table.text == "SITE\nwest?[2J\n")
    }

    @Test("nothing there: the next command is named")
    func empty() {
        let report = StatusReport(sites: [], links: [], services: [])
        #expect(report.tables.contains("kubectl explain tsite.spec"))
    }

    @Test("an object that is not understood is shown as such, and nothing is Ready with it")
    func undecodable() throws {
        var report = StatusReport(sites: [], links: [], services: [])
        #expect(report.isReady)
        let bad = Undecodable(
            metadata: ObjectMeta(name: "west", namespace: "shop"),
            problem: "spec.cost: no",
            content: ["kind": "Link"]
        )
        report.addUndecodable([bad], .link)
        #expect(!report.isReady)
        #expect(report.tables == "NOT UNDERSTOOD   PROBLEM\nLink shop/west   spec.cost: no\n")
        #expect(try Document.json(report.list).contains("\"kind\" : \"Link\""))
    }

    @Test("what a condition says beyond its reason is shown, each sentence once")
    func notes() {
        var site = Site(metadata: ObjectMeta(name: "plain"), spec: SiteSpec())
        for (type, message) in [
            (ConditionType.programmed, "ports are short"), (.reachable, "ports are short"),
            (.accepted, ""), (.informed, "cannot read deployments.apps"),
        ] {
            site.status.conditions.set(
                type.rawValue,
                .yes,
                reason: "Any",
                message: message,
                observedGeneration: nil,
                at: Timestamp(seconds: 0)
            )
        }
        let lines = StatusReport(sites: [site], links: [], services: []).tables.split(
            separator: "\n"
        )
        #expect(
            lines.filter { $0.contains("ports are short") } == [
                "Site plain   Programmed=True   ports are short"
            ]
        )
        #expect(lines.contains("Site plain   Informed=True     cannot read deployments.apps"))
    }

    @Test("a cost that is not applied yet shows both values")
    func pendingCost() throws {
        var link = Link(
            metadata: ObjectMeta(name: "west", namespace: "north"),
            spec: LinkSpec(
                endpoints: [],
                remoteSiteID: try siteID(),
                cost: LinkCost(20)
            )
        )
        #expect(row(of: link).contains(" 20 "))
        link.status.appliedCost = LinkCost(5)
        #expect(row(of: link).contains(" 5 -> 20 "))
    }

    private func row(of link: Link) -> String {
        StatusReport(sites: [], links: [link], services: []).tables
    }
}

func siteID() throws -> SiteID {
    try #require(SiteID("4XJ2P6RTQWLM5C7NVB3KD2ZFGA"))
}
