import NetworkModel
import Testing

@Suite("Vocabulary")
struct VocabularyTests {
    @Test(
        "base32 follows the vectors of RFC 4648",
        arguments: [
            ("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"), ("foobar", "MZXW6YTBOI"),
        ]
    )
    func base32(_ pair: (String, String)) {
        #expect(Base32.encode(pair.0.utf8) == pair.1)
    }

    @Test("SiteIDs are their texts: as many of them, and in the same order")
    func siteTexts() {
        let symbols = Array("234567ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        // Each symbol at each place.
        let texts = (0..<SiteID.length).flatMap { place in
            symbols.map { symbol in
                var text = [Character](repeating: "M", count: SiteID.length)
                text[place] = symbol
                return String(text)
            }
        }
        let sites = texts.compactMap { SiteID($0) }
        #expect(sites.map(\.text) == texts)
        #expect(Set(sites).count == Set(texts).count)
        #expect(sites.sorted().map(\.text) == texts.sorted())
        #expect(SiteID("ÄBCDEFGHIJKLMNOPQRSTUVWXY") == nil)
    }

    @Test("a SiteID is 26 base32 characters and nothing else")
    func siteID() {
        let id = SiteID(publicKeyDigest: Array(repeating: 0xA5, count: 32))
        #expect(SiteID(id.text) == id)
        #expect(SiteID(id.text.lowercased()) == nil)
        #expect(SiteID(id.text + "A") == nil)
        #expect(SiteID(String(repeating: "1", count: 26)) == nil)
    }

    @Test("a ProxyID is what it prints")
    func proxyID() {
        let id = ProxyID(
            site: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)),
            instance: 0xBEEF
        )
        #expect(ProxyID(id.description) == id)
        #expect(ProxyID(id.site.text) == nil)
        for instance in [
            "0000000000000000", "000000000000BEEF", "+00000000000beef", "beef", "000000000000beeg",
        ] {
            #expect(ProxyID("\(id.site)/\(instance)") == nil, "\(instance)")
        }
    }

    @Test("path costs saturate and never wrap")
    func pathCost() throws {
        let link = try #require(LinkCost(1_000_000))
        #expect(PathCost(1) + link == PathCost(1_000_001))
        #expect(PathCost(.max) + link == PathCost(.max))
        #expect(LinkCost(0) == nil)
        #expect(LinkCost(1_000_001) == nil)
    }

    @Test(
        "addresses print in their canonical form",
        arguments: [
            ("10.244.0.1", "10.244.0.1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::", "::"),
            ("::1", "::1"), ("1:0:0:2::3", "1:0:0:2::3"), ("::ffff:10.0.0.1", "10.0.0.1"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1::", "1::"), ("1::1.2.3.4", "1::102:304"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ]
    )
    func addresses(_ pair: (String, String)) {
        #expect(IPAddress(pair.0)?.description == pair.1)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "+1.2.3.4", ":", ":::",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "-0.0.0.0", "1.2.3.-0", "1.2.3.4::",
            "1.2.3.4::5", "::1.2.3.4:5", "-0::", "::+1", "::-1", "::1.2.3.-0",
        ]
    )
    func noAddress(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("sums saturate at both ends")
    func sums() {
        #expect(Int64.max.addingSaturated(1) == .max)
        #expect(Int64.min.addingSaturated(-1) == .min)
        #expect(UInt64.max.addingSaturated(.max) == .max)
        #expect([UInt64.max, 1, 2].saturatedSum { $0 } == .max)
        #expect([1, 2, 3].saturatedSum { $0 } == 6)
    }

    @Test("instants saturate and differences keep their sign")
    func instants() {
        let start = Instant(nanoseconds: 10)
        #expect(start + .seconds(-1) == Instant(nanoseconds: 0))
        #expect((start + .milliseconds(5)) - start == .milliseconds(5))
        #expect(start - (start + .milliseconds(5)) == .milliseconds(-5))
    }

    @Test("a leaf's name is what it prints", arguments: ProxyRole.allCases)
    func leafName(role: ProxyRole) {
        let site = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
        let name = LeafName(site: site, role: role)
        #expect(name.description == "spiffe://tieline/site/\(site)/\(role)")
        #expect(LeafName(name.description) == name)
        for text in [
            "spiffe://tieline/site/\(site)", "spiffe://tieline/site/\(site)/admin",
            "spiffe://tieline/site/\(site)/\(role)/", "spiffe://other/site/\(site)/\(role)",
            "SPIFFE://tieline/site/\(site)/\(role)", "\(site)/\(role)",
        ] {
            #expect(LeafName(text) == nil, "\(text)")
        }
    }

    @Test(
        "what could forge a line is replaced, what people write is kept",
        arguments: [
            ("east", "east"), ("öst 東 \u{1F600}", "öst 東 \u{1F600}"), ("a\nb", "a?b"),
            ("a\r\n\tb", "a???b"), ("\u{1B}[31m", "?[31m"), ("\u{7F}\u{85}", "??"),
            ("a\u{2028}b\u{202E}c\u{200B}", "a?b?c?"), ("", ""),
        ]
    )
    func printable(_ pair: (String, String)) {
        #expect(pair.0.printable == pair.1)
    }
}
