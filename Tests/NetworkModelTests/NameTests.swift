import NetworkModel
import Testing

@Suite("DNS names")
struct NameTests {
    /// As RFC 1123 and Kubernetes say it: labels of 1 to 63 letters, digits and hyphens, no hyphen at either end.
    private func isSubdomain(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-".contains($0) }
            }
    }

    @Test(
        "every short text of letters, digits, hyphens, dots and others is judged by the definition"
    )
    func short() {
        let alphabet = ["a", "z", "0", "-", ".", "A", "_", "é"]
        var (texts, longest) = ([""], [""])
        for _ in 0..<5 {
            longest = longest.flatMap { text in alphabet.map { text + $0 } }
            texts += longest
        }
        #expect(texts.count > 30_000)
        #expect(texts.filter { DNSName.isSubdomain($0) != isSubdomain($0) } == [])
        let labels = texts.filter { DNSName.isLabel($0) != (isSubdomain($0) && !$0.contains(".")) }
        #expect(labels == [])
    }

    @Test("lengths count: 63 for a label, 253 for all")
    func long() {
        for count in [62, 63, 64] {
            let label = String(repeating: "a", count: count)
            #expect(DNSName.isLabel(label) == (count <= 63))
            for text in [label, "b.\(label)", "\(label).b"] {
                #expect(DNSName.isSubdomain(text) == (count <= 63))
            }
        }
        func joined(_ counts: Int...) -> String {
            counts.map { String(repeating: "a", count: $0) }.joined(separator: ".")
        }
        #expect(DNSName.isSubdomain(joined(63, 63, 63, 61)))
        #expect(!DNSName.isSubdomain(joined(63, 63, 63, 62)))
    }

    @Test("text that others chose loses what could forge a line, and nothing else")
    func printable() {
        #expect("a b~".printable == "a b~")
        #expect("db-1 é ü".printable == "db-1 é ü")
        #expect("a\u{1B}[31m\u{7F}\n".printable == "a?[31m??")
        #expect("a\u{202E}b\u{2028}".printable == "a?b?")
    }
}
