import NetworkModel
import Routing
import TestSupport

/// One gateway under test among others whose LSAs are written by hand.
struct Bench {
    var instance = Bench.interested()
    var outputs: [RoutingOutput] = []
    var now = Instant.milliseconds(1_000)

    private static func interested() -> RoutingInstance {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.interest(.all), at: .milliseconds(1_000))
        return instance
    }

    mutating func feed(_ input: RoutingInput, after milliseconds: Int = 200) {
        now = now + .milliseconds(milliseconds)
        outputs = instance.handle(input, at: now)
        // Whatever waits for its pace.
        while let deadline = instance.nextDeadline, deadline <= now {
            outputs += instance.handle(.deadline, at: now)
        }
    }

    /// A Link of this site to gateway `index`.
    mutating func dial(_ index: Int, cost value: Int) {
        costs[link("to\(index)")] = cost(value)
        feed(.configure(RoutingConfiguration(linkCosts: costs)))
        let name = EdgeName.link(dialer: site(0), name: link("to\(index)"))
        feed(.adjacency(neighbor: gateway(index), edges: [name]))
    }

    var costs: [LinkName: LinkCost] = [:]

    mutating func learn(_ lsa: LSA) {
        let signed = SignedLSA(lsa: lsa, bytes: Array("\(lsa)".utf8))
        feed(.received(signed, from: gateway(1)))
    }

    var changes: [RouteChanges] {
        outputs.compactMap { output in
            if case .routesChanged(_, let changes) = output { changes } else { nil }
        }
    }

    func target(_ index: Int) -> RouteTarget? {
        instance.table.services[service("web/http")]?.first { $0.site == site(index) }
    }
}

/// An LSA of gateway `index` that offers web/http; `edges` name the neighbors by number.
func lsa(
    _ index: Int,
    instance: UInt64 = 1,
    sequence: UInt64 = 1,
    overload: Bool = false,
    edges: [LSAEdge],
    endpoints: UInt32? = 1
) -> LSA {
    LSA(
        origin: gateway(index, instance),
        sequence: sequence,
        issued: wall(.milliseconds(1_000)),
        overload: overload,
        displayName: "site-\(index)",
        edges: edges.sorted(),
        services: endpoints.map {
            [LSAService(service: service("web/http"), endpoints: $0)]
        } ?? []
    )
}

func accepted(_ neighbor: ProxyID, _ dialer: Int, _ name: String) -> LSAEdge {
    LSAEdge(
        neighbor: neighbor,
        name: .link(dialer: site(dialer), name: link(name)),
        cost: nil
    )
}

func dialed(_ neighbor: ProxyID, _ dialer: Int, _ name: String, _ value: Int) -> LSAEdge {
    LSAEdge(
        neighbor: neighbor,
        name: .link(dialer: site(dialer), name: link(name)),
        cost: cost(value)
    )
}
