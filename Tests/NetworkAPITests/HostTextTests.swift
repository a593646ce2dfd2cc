import Testing

@testable import NetworkAPI

@Suite("Hosts as text")
struct HostTextTests {
    @Test("P10: hosts as people write them")
    func hosts() {
        for good in [
            "db.example.com.", "DB.Example.COM", "db", "10.0.0.1", "2001:db8::1", "3com.example",
        ] {
            #expect(HostText.problem(good) == nil, "\(good)")
        }
        #expect(HostText.normalized("DB.Example.COM.") == "db.example.com.")
        #expect(HostText.key("DB.Example.COM.") == HostText.key("db.example.com"))
        for bad in [
            "127.1", "0177.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "1.2.3.4.", "127.0.0.1.5",
            "a:1", "", ".", "a..b",
        ] {
            #expect(HostText.problem(bad) != nil, "\(bad)")
        }
    }
}
