import NetworkModel

/// The addresses of servers that are given by name: looked up every 30 s, and soon after a failed connect.
///
/// A name that cannot be resolved keeps its last addresses. Confined to loop 0.
final class HostTable {
    private unowned let control: ControlPlane
    private var known: [String: [IPAddress]] = [:]
    private var watched: Set<String> = []
    private var lastLookUp: [String: Instant] = [:]
    private var isTicking = false
    private static let interval: Duration = .seconds(30)
    private static let doubtInterval: Duration = .seconds(2)
    private static let addressLimit = 64

    init(control: ControlPlane) { self.control = control }

    func addresses(_ host: String) -> [IPAddress] {
        if let address = IPAddress(host) { return [address] }
        return known[host] ?? []
    }

    func watch(_ names: Set<String>) {
        let names = names.filter { IPAddress($0) == nil }
        known = known.filter { names.contains($0.key) }
        lastLookUp = lastLookUp.filter { names.contains($0.key) }
        let new = names.subtracting(watched)
        watched = names
        for name in new.sorted() { lookUp(name) }
        if !isTicking, !watched.isEmpty {
            isTicking = true
            tick()
        }
    }

    private func tick() {
        control.loop.schedule(after: Self.interval) { [weak self] _ in
            guard let self else { return }
            for name in watched.sorted() { lookUp(name) }
            isTicking = !watched.isEmpty
            if isTicking { tick() }
        }
    }

    /// A server of one of these names did not answer.
    func doubt(_ names: Set<String>) {
        for name in names.intersection(watched).sorted() {
            guard let last = lastLookUp[name], EventLoop.clock() - last > Self.doubtInterval
            else { continue }
            lookUp(name)
        }
    }

    private func lookUp(_ name: String) {
        lastLookUp[name] = EventLoop.clock()
        control.resolver.resolve(name, replyTo: control.loop.mailbox) { loop, result in
            loop.local(ControlPlane.self)?.hostResolved(name, result)
        }
    }

    /// True when the name's addresses are others than before.
    func resolved(_ name: String, _ result: Result<[IPAddress], ResolverError>) -> Bool {
        guard watched.contains(name), case .success(let addresses) = result, !addresses.isEmpty
        else { return false }
        let sorted = Array(addresses.sorted().prefix(Self.addressLimit))
        guard sorted != known[name] else { return false }
        known[name] = sorted
        return true
    }
}
