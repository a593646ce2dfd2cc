import Foundation
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import ManifestReading

@Suite("Odd manifest files")
struct OddFileTests {
    /// One file of the corpus, with what kubectl made of it (`hack/yaml-corpus.py`).
    struct Odd: Decodable, Sendable, CustomTestStringConvertible {
        let name: String
        let file: Data
        /// Nil: refused.
        let object: JSONValue?
        var testDescription: String { name }
    }

    private static let corpus: [Odd] = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let place = root.appending(path: "hack/yaml-corpus.json")
        guard let data = try? Data(contentsOf: place),
            let odd = try? JSONDecoder().decode([Odd].self, from: data)
        else { preconditionFailure("\(place) cannot be read") }
        return odd
    }()

    /// What kubectl refuses and we read: neither means anything else to anybody.
    private static let readHere: Set<String> = ["directives", "value .inf"]

    @Test("P10: a file means what kubectl makes of it", arguments: corpus)
    func meaning(_ odd: Odd) throws {
        let documents = Result { try Manifests.json(of: try ManifestText.decode(odd.file)) }
        guard let expected = odd.object else {
            if Self.readHere.contains(odd.name) { return }
            #expect(throws: (any Error).self) { try documents.get() }
            return
        }
        let read = try documents.get().filter { $0 != .null }
        #expect(read.count == 1)
        // As JSON: 5 and 5.0 are the same number.
        func json(_ value: JSONValue) throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        }
        #expect(try json(read[0]) == json(expected))
    }

    @Test("P10: the corpus has at least 60 files")
    func size() { #expect(Self.corpus.count >= 60) }

    private func problems(_ text: String) -> [ManifestProblem] {
        var manifests = Manifests()
        manifests.read(text, file: "f.yaml")
        return manifests.problems
    }

    @Test("B3: what aliases multiply is refused at once, with its line")
    func bomb() {
        var text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        for (next, last) in zip("bcdefghi", "abcdefgh") {
            text +=
                "\(next): &\(next) [\(Array(repeating: "*\(last)", count: 10).joined(separator: ", "))]\n"
        }
        let asKeys = text + "? *i\n: 1\n"
        for text in [text, asKeys] {
            let begin = ContinuousClock.now
            let found = problems(text)
            #expect(ContinuousClock.now - begin < .seconds(1))
            #expect(found.count == 1)
            #expect(found.first?.line ?? 0 > 1)
            #expect(found.first?.message.contains("what aliases repeat") == true)
        }
    }

    @Test("B3: what is nested without end is refused, in flow and in block style")
    func depth() {
        for text in [
            String(repeating: "[", count: 200_000), String(repeating: "- ", count: 50_000) + "a",
            String(repeating: "{a: ", count: 100_000),
        ] {
            let begin = ContinuousClock.now
            // By our bound, or by the parser's own of 1,000, which it finds when it looks ahead.
            #expect(problems(text).count == 1)
            #expect(ContinuousClock.now - begin < .seconds(2))
        }
        let few = String(repeating: "[", count: 100)
        #expect(problems(few).first?.message.contains("within each other") == true)
        #expect(problems("a: *b\n").first?.message.contains("alias") == true)
    }

    @Test(
        "B5: a number that does not fit says line, field and remedy",
        arguments: [
            ("1.5", "must be a whole number from 1 to 1000000, not 1.5"),
            ("abc", "must be a whole number from 1 to 1000000, not abc"),
            ("6:15", "must be a whole number from 1 to 1000000, not 6:15"),
            ("0", "must be from 1 to 1000000, not 0"),
        ]
    )
    func number(_ cost: String, _ message: String) {
        let found = problems(
            """
            apiVersion: tieline.dev/v1alpha1
            kind: Link
            metadata: {name: west}
            spec:
              endpoints: [{host: a.example.com, port: 5671}]
              remoteSiteID: BBBBBBBBBBBBBBBBBBBBBBBBBB
              cost: \(cost)
            """
        )
        #expect(found.map(\.description) == ["f.yaml:7: spec.cost \(message)"])
    }
}
