import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import ManifestReading

@Suite("Manifests")
struct ManifestTests {
    private func read(_ text: String, otherKinds: Manifests.OtherKinds = .refuse) -> Manifests {
        var manifests = Manifests()
        manifests.read(text, file: "site.yaml", otherKinds: otherKinds)
        return manifests
    }

    private let link = """
        apiVersion: tieline.dev/v1alpha1
        kind: Link
        metadata: {name: west}
        spec:
          endpoints:
          - {host: west.example.com, port: 5671}
          remoteSiteID: BBBBBBBBBBBBBBBBBBBBBBBBBB
          cost: 20

        """

    @Test("several documents, lists and comments are read")
    func documents() {
        let manifests = read(
            """
            # A site.
            apiVersion: tieline.dev/v1alpha1
            kind: Site
            metadata: {name: east}
            status: {whatever: it, said: before}
            ---
            \(link)---
            ---
            apiVersion: v1
            kind: List
            items:
            - apiVersion: tieline.dev/v1alpha1
              kind: Service
              metadata: {name: backend}
              spec:
                ports: [{name: http, port: 80, targetPort: web}]
                hosts: [10.1.2.3]
                timeouts: {connect: 250ms}
            """
        )
        #expect(manifests.problems.isEmpty, "\(manifests.problems)")
        #expect(manifests.sites.map(\.metadata.name) == ["east"])
        #expect(manifests.links.first?.spec.cost?.value == 20)
        #expect(manifests.services.first?.spec.ports.first?.targetPort == .string("web"))
        #expect(manifests.services.first?.spec.timeouts?.connect?.duration == .milliseconds(250))
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let from: String
        let to: String
        let line: Int
        let field: String
        let message: String
        var testDescription: String { to }
    }

    static let bad: [Bad] = [
        Bad(
            from: "cost: 20",
            to: "cost: 0",
            line: 8,
            field: "spec.cost",
            message: "from 1 to 1000000, not 0"
        ),
        Bad(
            from: "cost: 20",
            to: "cost: cheap",
            line: 8,
            field: "spec.cost",
            message: "whole number"
        ),
        Bad(
            from: "cost: 20",
            to: "csot: 20",
            line: 8,
            field: "spec.csot",
            message: "did you mean \"cost\"?"
        ),
        Bad(
            from: "cost: 20",
            to: "color: red",
            line: 8,
            field: "spec.color",
            message: "known here"
        ),
        Bad(from: "cost: 20", to: "cost: 20\n  cost: 30", line: 8, field: "", message: "twice"),
        Bad(from: "cost: 20", to: "cost: [20", line: 9, field: "", message: "not YAML"),
        Bad(
            from: "port: 5671",
            to: "port: 70000",
            line: 6,
            field: "spec.endpoints[0].port",
            message: "70000"
        ),
        Bad(
            from: "host: west.example.com, ",
            to: "",
            line: 6,
            field: "spec.endpoints[0].host",
            message: "missing"
        ),
        Bad(
            from: "BBBBBBBBBBBBBBBBBBBBBBBBBB",
            to: "B",
            line: 7,
            field: "spec.remoteSiteID",
            message: "\"B\" is not"
        ),
        Bad(
            from: "kind: Link",
            to: "kind: Pod",
            line: 2,
            field: "kind",
            message: "only Site, Link and Service"
        ),
        Bad(
            from: "v1alpha1",
            to: "v9",
            line: 1,
            field: "apiVersion",
            message: "write tieline.dev/v1alpha1"
        ),
        Bad(from: "name: west}", to: "}", line: 3, field: "metadata.name", message: "missing"),
    ]

    @Test("a mistake is told with file, line, field and remedy", arguments: bad)
    func mistakes(_ bad: Bad) throws {
        let manifests = read(link.replacing(bad.from, with: bad.to))
        #expect(manifests.links.isEmpty)
        let problem = try #require(manifests.problems.first)
        #expect(manifests.problems.count == 1)
        #expect(problem.file == "site.yaml")
        #expect(problem.line == bad.line, "\(problem)")
        #expect(problem.field == bad.field, "\(problem)")
        #expect(problem.message.contains(bad.message), "\(problem)")
    }

    @Test("a finding of the compile step leads back to its line")
    func findingLine() throws {
        let manifests = read(link.replacing("{host: west", with: "{host: west_"))
        let own = try #require(SiteID(String(repeating: "A", count: SiteID.length)))
        let finding = try #require(
            compile(
                site: Site(metadata: ObjectMeta(name: "east")),
                siteID: own,
                links: manifests.links,
                services: [],
                listeners: .allocated(ListenerPorts(), now: Instant(nanoseconds: 0))
            ).findings.first
        )
        let problem = manifests.problem(for: finding)
        #expect(problem.line == 6)
        #expect(problem.field == "spec.endpoints[0].host")
        #expect("\(problem)".hasPrefix("site.yaml:6: spec.endpoints[0].host: Link west:"))
    }

    @Test("the same object twice is refused with both places")
    func duplicates() throws {
        let manifests = read(link + "---\n" + link)
        #expect(manifests.links.count == 1)
        let problem = try #require(manifests.problems.first)
        #expect(problem.line == 12)
        #expect(problem.message.contains("site.yaml, line 3"))
    }

    @Test("other kinds are passed over where that is asked for")
    func otherKinds() {
        let manifests = read(
            "{apiVersion: v1, kind: Secret, metadata: {name: x}}",
            otherKinds: .skip
        )
        #expect(manifests.problems.isEmpty)
        #expect(manifests.skipped == ["Secret x"])
    }

    @Test("a text in quotes is a text, not a number")
    func quotes() throws {
        let manifests = read(link.replacing("cost: 20", with: "cost: \"20\""))
        #expect(manifests.problems.first?.field == "spec.cost")
    }
}

@Suite("API durations")
struct APIDurationTests {
    @Test(
        "durations are read and written",
        arguments: [
            ("250ms", 250.0, "250ms"), ("5s", 5000, "5s"), ("1h30m", 5_400_000, "1h30m"),
            ("1.5s", 1500, "1s500ms"), ("0s", 0, "0s"), ("90s", 90_000, "1m30s"),
            ("1.4ms", 1.4, "1ms400us"),
        ]
    )
    func good(text: String, milliseconds: Double, written: String) throws {
        let value = try #require(APIDuration(text))
        #expect(value.duration == .nanoseconds(Int64(milliseconds * 1_000_000)))
        #expect(value.text == text)
        #expect(APIDuration(value.duration).text == written)
    }

    @Test(
        "anything else is refused",
        arguments: ["", "5", "s", "5 s", "-5s", "1,5s", ".5s", "5.s", "5d", "1e3s", "9999999999s"]
    )
    func bad(text: String) { #expect(APIDuration(text) == nil) }
}
