import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import CommandLineTool

@Suite("check")
struct CheckReportTests {
    private let now = Timestamp(seconds: 1_800_000_000)

    private func site(_ build: (inout SiteStatus) -> Void = { _ in }) -> Site {
        var site = Site(metadata: ObjectMeta(name: "east", namespace: "shop"))
        site.status.conditions = [condition(.ready, .yes)]
        build(&site.status)
        return site
    }

    private func condition(
        _ type: ConditionType,
        _ status: Condition.Status,
        _ reason: Reason = .ready
    ) -> Condition {
        var conditions: [Condition] = []
        conditions.set(
            type.rawValue,
            status,
            reason: reason.rawValue,
            message: "why",
            observedGeneration: 1,
            at: now
        )
        return conditions[0]
    }

    private func findings(_ site: Site) -> [CheckFinding] {
        var report = CheckReport()
        let found = CheckedNamespace(sites: [site], links: [], services: [], pods: [])
        report.look(at: "shop", found, now: now)
        return report.findings
    }

    @Test("a CA that ends within a week warns, within a day fails; what is renewed does neither")
    func certificates() {
        for (hours, verdict) in [(200, nil), (100, .warning), (20, .failure)]
            as [(Int64, CheckFinding.Verdict?)]
        {
            let found = findings(
                site {
                    $0.certificates = SiteStatus.Certificates(
                        authority: now + .seconds(hours * 3600),
                        gateway: now + .seconds(57 * 3600)
                    )
                }
            )
            #expect(found.first { $0.verdict != .ok }?.verdict == verdict, "\(hours) h")
            #expect(found.allSatisfy { $0.verdict == .ok || $0.hint != nil })
        }
        let late = findings(
            site { $0.certificates = SiteStatus.Certificates(gateway: now + .seconds(3600)) }
        )
        #expect(late.contains { $0.verdict == .failure })
    }

    @Test("what is not Ready fails, what depends on others warns, what nobody looked at is told")
    func conditions() {
        #expect(findings(site()).map(\.verdict) == [.ok])
        let failed = findings(site { $0.conditions = [condition(.ready, .no, .invalid)] })
        #expect(failed.map(\.verdict) == [.failure])
        #expect(failed.first?.hint == "why")
        #expect(findings(site { $0.conditions = [] }).map(\.verdict) == [.failure])
        var link = Link(
            metadata: ObjectMeta(name: "west", namespace: "shop"),
            spec: LinkSpec(
                endpoints: [],
                remoteSiteID: SiteID(publicKeyDigest: Array(repeating: 0, count: 32))
            )
        )
        link.status.conditions = [
            condition(.ready, .yes), condition(.connected, .no, .unreachable),
        ]
        var report = CheckReport()
        let found = CheckedNamespace(sites: [site()], links: [link], services: [], pods: nil)
        report.look(at: "shop", found, now: now)
        #expect(report.findings.map(\.verdict) == [.unknown, .ok, .warning])
        #expect(!report.isFine)
        #expect(report.text.contains("What to do"))
    }

    @Test("definitions that lack a field of this version are told by its name")
    func definitions() {
        var report = CheckReport()
        report.look(at: .site, fields: nil)
        report.look(at: .link, fields: ["endpoints"])
        #expect(report.findings.map(\.verdict) == [.failure, .warning])
        #expect(report.findings[1].message.contains("remoteSiteID"))
    }
}
