import NetworkModel
import ProxyContract
import Testing

@testable import NetworkAPI

@Suite("Listener ports")
struct ListenerPortsTests {
    private func key(_ service: String) -> ListenerPorts.Key {
        ListenerPorts.Key(service: service, port: 80)
    }

    private func time(_ seconds: Int64) -> Instant {
        Instant(nanoseconds: 0) + .seconds(seconds)
    }

    @Test("the lowest free port is given, and kept")
    func lowestFree() throws {
        var ports = ListenerPorts()
        #expect(ports.assign([key("b"), key("a")], at: time(0)).isEmpty)
        #expect(ports.assigned[key("b")] == 10_000)
        #expect(ports.assigned[key("a")] == 10_001)
        _ = ports.assign([key("a"), key("b"), key("c")], at: time(1))
        #expect(ports.assigned[key("a")] == 10_001)
        #expect(ports.assigned[key("c")] == 10_002)
    }

    @Test("a port that was given up rests for ten minutes")
    func rest() throws {
        var ports = ListenerPorts()
        _ = ports.assign([key("a"), key("b")], at: time(0))
        _ = ports.assign([key("b")], at: time(10))
        _ = ports.assign([key("b"), key("c")], at: time(609))
        #expect(ports.assigned[key("c")] == 10_002)
        _ = ports.assign([key("b"), key("c"), key("d")], at: time(610))
        #expect(ports.assigned[key("d")] == 10_000)
    }

    @Test("the last configuration is the record")
    func record() throws {
        let first = try compiled(services: [try service("a", age: 2), try service("b", age: 1)])
        let later = try compiled(
            services: [try service("b"), try service("new", age: 9)],
            listeners: .allocated(ListenerPorts(record: first.configuration.services), now: time(0))
        )
        let listens = later.configuration.services.map { $0.ports[0].listen?.port }
        #expect(listens == [10_001, 10_002])
        #expect(later.findings.isEmpty)
    }

    @Test("P7: a port keeps its listener under another name")
    func renamed() throws {
        let first = try compiled(services: [try service("a")])
        var renamed = try service("a")
        renamed.spec.ports[0].name = try #require(PortName("other"))
        let later = try compiled(
            services: [renamed],
            listeners: .allocated(ListenerPorts(record: first.configuration.services), now: time(0))
        )
        let ports = [first, later].map { $0.configuration.services[0].ports[0] }
        #expect(ports[0].name != ports[1].name && ports[0].listen == ports[1].listen)
        #expect(ports[0].listen != nil)
    }

    @Test("when none is left, the service says so and the others stay")
    func exhausted() throws {
        var ports = ListenerPorts()
        let keys = (0..<ListenerPorts.range.count).map { key("s\($0)") }
        #expect(ports.assign(keys, at: time(0)).isEmpty)
        #expect(ports.assign(keys + [key("late")], at: time(1)) == [key("late")])
    }
}
