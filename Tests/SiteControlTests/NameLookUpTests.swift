import NetworkModel
import Testing

@testable import SiteControl

@Suite("Names of servers")
struct NameLookUpTests {
    private let reason = "Name or service not known"

    @Test(
        "P11: a name that does not resolve is asked again after 1, 2, 4 ... 30 s, and since when is known"
    )
    func backOff() {
        var names = NameLookUps()
        let start = Instant(nanoseconds: 5_000_000_000)
        names.watch(["db"], at: start)
        var now = start
        var waits: [Duration] = []
        for _ in 0..<8 {
            #expect(names.takeDue(at: now) == ["db"])
            #expect(names.takeDue(at: now).isEmpty, "one question at a time")
            #expect(names.answer("db", .failed(reason), at: now) == false)
            let next = names.next ?? now
            waits.append(next - now)
            now = next
        }
        #expect(waits.map(\.components.seconds) == [1, 2, 4, 8, 16, 30, 30, 30])
        #expect(names.failure(of: "db") == .init(reason: reason, since: start))
        #expect(names.takeDue(at: now) == ["db"])
        #expect(names.answer("db", .addresses([.v4(1)]), at: now) == true)
        #expect(names.failure(of: "db") == nil)
        #expect(names.next.map { $0 - now } == .seconds(30))
        // Once more, from the beginning; the addresses stay.
        now = now + .seconds(30)
        #expect(names.takeDue(at: now) == ["db"])
        #expect(names.answer("db", .failed(reason), at: now) == false)
        #expect(names.addresses(of: "db") == [.v4(1)])
        #expect(names.next.map { $0 - now } == .seconds(1))
        #expect(names.failure(of: "db")?.since == now)
    }

    @Test(
        "a name in doubt is asked at once, but not twice within 2 s, and a name given up is forgotten"
    )
    func doubt() {
        var names = NameLookUps()
        let now = Instant(nanoseconds: 1_000_000_000)
        names.watch(["db", "web"], at: now)
        #expect(names.takeDue(at: now) == ["db", "web"])
        for name in ["db", "web"] { _ = names.answer(name, .addresses([.v4(1)]), at: now) }
        names.doubt(["db"], at: now + .seconds(1))
        #expect(names.takeDue(at: now + .seconds(1)).isEmpty)
        names.doubt(["db"], at: now + .seconds(3))
        #expect(names.takeDue(at: now + .seconds(3)) == ["db"])
        names.watch(["web"], at: now + .seconds(3))
        #expect(names.answer("db", .addresses([.v4(2)]), at: now + .seconds(4)) == false)
        #expect(names.next.map { $0 - now } == .seconds(30))
    }

    @Test("P6: the families of one name are ways to the same servers")
    func families() {
        let four: [IPAddress] = [.v4(1), .v4(2), .v4(3)]
        let six: [IPAddress] = [.v6(0, 9), .v6(0, 8)]
        #expect(NamedServers.group([.v4(1)]) == [[.v4(1)]])
        #expect(NamedServers.group([six[1], four[0]]) == [[six[1], four[0]]])
        #expect(NamedServers.group([four[0], six[1]]) == [[four[0], six[1]]])
        #expect(
            NamedServers.group(four) == four.map { [$0] },
            "several A records are several servers"
        )
        let both = NamedServers.group(six + four)
        #expect(both == [[six[1], four[0]], [six[0], four[1]], [four[2]]])
    }

    @Test(
        "K8: what can be no server is refused with the reason",
        arguments: [
            "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1",
            "255.255.255.255",
            "::ffff:169.254.169.254", "0.1.2.3", "fd00:ec2::254",
        ]
    )
    func special(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(HostRules().objection(to: Endpoint(address: address, port: 80)) != nil)
    }

    @Test(
        "K8: the site's own addresses are refused in a cluster; at a plain site only its own ports"
    )
    func own() throws {
        func end(_ text: String, _ port: UInt16) throws -> Endpoint {
            Endpoint(address: try #require(IPAddress(text)), port: port)
        }
        let cluster = HostRules(
            isInCluster: true,
            own: [try #require(IPAddress("10.96.0.7"))],
            local: [try #require(IPAddress("10.244.0.3"))]
        )
        for text in ["10.96.0.7", "10.244.0.3", "127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            #expect(cluster.objection(to: try end(text, 80)) != nil, "\(text)")
        }
        #expect(cluster.objection(to: try end("10.96.0.8", 80)) == nil)
        let plain = HostRules(
            local: [try #require(IPAddress("192.168.1.5"))],
            listeners: [
                .init(address: nil, port: 8080),
                .init(address: IPAddress("127.0.0.9"), port: 9090),
            ]
        )
        #expect(plain.objection(to: try end("127.0.0.1", 8080)) != nil)
        #expect(plain.objection(to: try end("192.168.1.5", 8080)) != nil)
        #expect(plain.objection(to: try end("127.0.0.9", 9090)) != nil)
        #expect(plain.objection(to: try end("127.0.0.1", 9090)) == nil)
        #expect(plain.objection(to: try end("127.0.0.1", 80)) == nil)
        #expect(plain.objection(to: try end("192.168.1.6", 8080)) == nil)
    }
}
