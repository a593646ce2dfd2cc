package import Balancing
import DequeModule
package import NetworkModel

/// When the servers that are left out are probed, and how many at once, so that no client has to try them.
///
/// Pure: the shell looks at the services that are due and tells what it found, makes the connections, and tells of each end.
package struct ProbeDesk: Sendable {
    /// A connection to make to a server that is left out.
    package struct Order: Hashable, Sendable {
        package let service: ServicePort
        package let server: ServerPick
        /// For how long a connection has to last that speaks for the server.
        package let patience: Duration
    }

    private var agenda = Agenda<ServicePort>()
    private var waiting: Deque<Order> = []
    private var running = 0
    /// Those with a server that is left out.
    private var services: Set<ServicePort> = []

    /// What this host spends on servers that are left out.
    package static let runningLimit = 32
    /// Servers that end connections at once do it within this time.
    package static let patience: Duration = .milliseconds(300)
    /// Between two looks at one service.
    package static let shortestWait: Duration = .milliseconds(20)

    package init() {}

    /// When `due` has something; nil: not until a service is looked at.
    package var nextDeadline: Instant? { agenda.next }

    /// The services to look at now.
    package mutating func due(at now: Instant) -> [ServicePort] { agenda.popDue(at: now) }

    /// A look at the service found these servers to probe, and when the next one is to be probed.
    ///
    /// Answers with what is to be connected to now.
    package mutating func looked(
        at service: ServicePort,
        _ probes: [EndpointBalancer.Probe],
        next: Instant?,
        at now: Instant
    ) -> [Order] {
        for probe in probes {
            // A server that nothing is held against needs no more than to take the connection.
            let patience = probe.fault == .untried ? .zero : Self.patience
            waiting.append(Order(service: service, server: probe.server, patience: patience))
        }
        agenda.set(service, at: next.map { max($0, now + Self.shortestWait) })
        if next != nil || !probes.isEmpty { services.insert(service) }
        return begin()
    }

    /// A connection of this service has ended, and the balancer was told: the service is due.
    package mutating func ended(_ service: ServicePort, at now: Instant) -> [Order] {
        running -= 1
        if services.contains(service) { agenda.set(service, at: now) }
        return begin()
    }

    /// The service is gone; what runs goes on to its end.
    package mutating func forget(_ service: ServicePort) {
        guard services.remove(service) != nil else { return }
        agenda.set(service, at: nil)
        waiting.removeAll { $0.service == service }
    }

    private mutating func begin() -> [Order] {
        let count = min(Self.runningLimit - running, waiting.count)
        running += count
        return (0..<count).map { _ in waiting.removeFirst() }
    }
}
