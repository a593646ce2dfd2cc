import NetworkModel
import SiteConfiguration
import Testing

@testable import NetworkAPI

@Suite("Listener ports")
struct ListenerPortsTests {
    private func key(_ service: String) throws -> ListenerPorts.Key {
        ListenerPorts.Key(service: service, port: try #require(PortName("http")))
    }

    private func time(_ seconds: Int64) -> Instant {
        Instant(nanoseconds: 0) + .seconds(seconds)
    }

    @Test("the lowest free port is given, and kept")
    func lowestFree() throws {
        var ports = ListenerPorts()
        #expect(ports.assign([try key("b"), try key("a")], at: time(0)).isEmpty)
        #expect(ports.assigned[try key("b")] == 10_000)
        #expect(ports.assigned[try key("a")] == 10_001)
        _ = ports.assign([try key("a"), try key("b"), try key("c")], at: time(1))
        #expect(ports.assigned[try key("a")] == 10_001)
        #expect(ports.assigned[try key("c")] == 10_002)
    }

    @Test("a port that was given up rests for ten minutes")
    func rest() throws {
        var ports = ListenerPorts()
        _ = ports.assign([try key("a"), try key("b")], at: time(0))
        _ = ports.assign([try key("b")], at: time(10))
        _ = ports.assign([try key("b"), try key("c")], at: time(609))
        #expect(ports.assigned[try key("c")] == 10_002)
        _ = ports.assign([try key("b"), try key("c"), try key("d")], at: time(610))
        #expect(ports.assigned[try key("d")] == 10_000)
    }

    @Test("the last configuration is the record")
    func record() throws {
        let first = try compiled(services: [try service("a", age: 2), try service("b", age: 1)])
        let later = try compiled(
            services: [try service("b"), try service("new", age: 9)],
            listeners: .allocated(ListenerPorts(record: first.configuration), now: time(0))
        )
        let listens = later.configuration.services.map { $0.ports[0].listen?.port }
        #expect(listens == [10_001, 10_002])
        #expect(later.findings.isEmpty)
    }

    @Test("when none is left, the service says so and the others stay")
    func exhausted() throws {
        var ports = ListenerPorts()
        let keys = try (0..<ListenerPorts.range.count).map { try key("s\($0)") }
        #expect(ports.assign(keys, at: time(0)).isEmpty)
        #expect(ports.assign(keys + [try key("late")], at: time(1)) == [try key("late")])
    }
}
