import KubernetesAPI
package import NetworkModel
package import ProxyContract

/// Settles which Services of a site have what they claim, and keeps up with changes at the cost of what they touch.
///
/// Whoever is older has what several claim. So a change is looked at from the oldest object that it touches to the youngest:
/// when somebody gets or loses something, those younger ones are looked at again that claim it too. The result is the same
/// as that of a compiler that is told everything at once. Pure.
package struct ServiceCompiler: Sendable {
    /// What one Service alone can have.
    private enum Claim: Hashable {
        case address(ServiceAddress)
        case coreService(String)
        /// Of a plain site.
        case port(UInt16)
    }

    private struct Entry {
        var age: Age
        /// Nil: its own fields are wrong, as `own` says.
        var part: ServiceConfiguration?
        var own: [Finding] = []
        var claims: [Claim] = []
        var listens = false
        /// For the words of findings.
        var service: Service?
        var findings: [Finding] = []
        var isAccepted = false

        var keys: [ListenerPorts.Key] {
            guard listens, isAccepted, let part else { return [] }
            return part.ports.map { ListenerPorts.Key(service: part.name, port: $0.port) }
        }
    }

    private let bind: String?
    private let isPlain: Bool
    private var book = SiteBook()
    package private(set) var ports = ListenerPorts()
    private var entries: [String: Entry] = [:]
    private var claimants: [Claim: Set<String>] = [:]
    private var holders: [Claim: String] = [:]
    /// Those without a listener port, for none is left.
    private var unported: Set<ListenerPorts.Key> = []
    /// Of entries that were replaced or removed, or lost what they claimed.
    private var freed: Set<ListenerPorts.Key> = []
    private var isSettled = false
    /// To be looked at by `settle`.
    private var stale: Set<String> = []
    /// Looked at, or gone, since `settle`.
    private var touched: Set<String> = []
    /// How many objects were looked at.
    package private(set) var examined = 0

    package init(listeners: Listeners) {
        switch listeners {
        case .allocated(let ports, _):
            self.ports = ports
            (isPlain, bind) = (false, nil)
        case .direct(let bind):
            (isPlain, self.bind) = (true, bind)
        }
    }

    // MARK: What there is

    /// A Service is there, as it says; one that is being deleted is not.
    package mutating func set(_ service: Service) {
        let name = service.metadata.name
        guard !service.metadata.isTerminating else { return remove(name) }
        var own = Findings(.service, name)
        var entry = Entry(age: .object(service.metadata))
        entry.part = service.configuration(isPlain: isPlain, book, &own)
        entry.own = own.list
        entry.listens = service.listens
        entry.service = service
        if let part = entry.part {
            entry.claims.append(.address(part.address))
            if entry.listens, isPlain {
                entry.claims += service.spec.ports.map { .port($0.port) }
            } else if entry.listens {
                entry.claims.append(.coreService(service.listenServiceName))
            }
        }
        put(entry, name)
    }

    /// The Site binds other names, or says something else of all sites: the Services that it concerns are read again.
    package mutating func setBook(_ new: SiteBook) {
        guard new != book else { return }
        let old = book
        book = new
        for service in entries.values.compactMap(\.service) where service.depends(on: old, new) {
            set(service)
        }
    }

    /// A Service is there and cannot be read: it has what it had, before all others.
    package mutating func keep(_ part: ServiceConfiguration) {
        var entry = Entry(age: .kept(part.name))
        entry.part = part
        entry.claims = [.address(part.address)]
        entry.listens = part.ports.contains { $0.listen != nil }
        put(entry, part.name)
    }

    package mutating func remove(_ name: String) {
        guard let entry = entries.removeValue(forKey: name) else { return }
        release(entry, name)
        touched.insert(name)
        stale.remove(name)
    }

    private mutating func put(_ entry: Entry, _ name: String) {
        if let old = entries[name] { release(old, name) }
        entries[name] = entry
        for claim in entry.claims { claimants[claim, default: []].insert(name) }
        stale.insert(name)
    }

    /// Whoever else claims what it had is looked at again, whatever its age: this one may be of another age now.
    private mutating func release(_ entry: Entry, _ name: String) {
        for claim in entry.claims {
            claimants[claim]?.remove(name)
            if claimants[claim]?.isEmpty == true { claimants[claim] = nil }
            guard holders[claim] == name else { continue }
            holders[claim] = nil
            stale.formUnion(claimants[claim] ?? [])
        }
        if !isPlain { freed.formUnion(entry.keys) }
    }

    // MARK: Settling

    /// Brings everything up to date; returns the names of the Services that were looked at or are gone.
    @discardableResult
    package mutating func settle(at now: Instant) -> Set<String> {
        var waiting = turns(of: stale)
        stale = []
        while let turn = waiting.next() {
            touched.insert(turn.name)
            examined += 1
            for claim in decide(turn.name) {
                for name in claimants[claim] ?? [] where name != turn.name {
                    guard let age = entries[name]?.age, turn.age < age else { continue }
                    waiting.add(Turns.Turn(age: age, name: name))
                }
            }
        }
        if !isPlain { assignPorts(at: now) }
        defer { touched = [] }
        return touched
    }

    /// Decides on one object when all older ones are decided; returns what changed hands.
    private mutating func decide(_ name: String) -> [Claim] {
        guard var entry = entries[name] else { return [] }
        let before = entry
        entry.findings = entry.own
        if let service = entry.service, let part = entry.part {
            var own = Findings(.service, name)
            claim(for: service, part, entry.age, &own)
            entry.findings += own.list
        }
        entry.isAccepted = entry.part != nil && entry.findings.isEmpty
        entries[name] = entry
        var moved: [Claim] = []
        for claim in entry.claims {
            if entry.isAccepted, holders[claim] != name {
                holders[claim] = name
                moved.append(claim)
            } else if !entry.isAccepted, holders[claim] == name {
                holders[claim] = nil
                moved.append(claim)
            }
        }
        if !isPlain, before.isAccepted, !entry.isAccepted { freed.formUnion(before.keys) }
        return moved
    }

    /// The older object that has it.
    private func owner(of claim: Claim, before age: Age) -> String? {
        guard let holder = holders[claim], let other = entries[holder], other.age < age else {
            return nil
        }
        return holder
    }

    private func claim(
        for service: Service,
        _ part: ServiceConfiguration,
        _ age: Age,
        _ findings: inout Findings
    ) {
        if let owner = owner(of: .address(part.address), before: age) {
            findings.add(
                service.spec.address == nil ? "metadata.name" : "spec.address",
                reason: .conflict,
                "the address \"\(part.address)\" belongs to the older Service \"\(owner)\"; "
                    + "use that one, or give this one another address"
            )
        }
        guard service.listens else { return }
        if isPlain {
            for (index, port) in service.spec.ports.enumerated() {
                guard let owner = owner(of: .port(port.port), before: age) else { continue }
                findings.add(
                    "spec.ports[\(index)].port",
                    reason: .conflict,
                    "port \(port.port) belongs to Service \"\(owner)\"; a plain site listens for each "
                        + "service on its own port: choose another one"
                )
            }
        } else if let owner = owner(of: .coreService(service.listenServiceName), before: age) {
            findings.add(
                service.spec.listen?.serviceName == nil
                    ? "metadata.name" : "spec.listen.serviceName",
                reason: .conflict,
                "the core Service \"\(service.listenServiceName)\" belongs to the older Service "
                    + "\"\(owner)\"; set listen.serviceName to another name"
            )
        }
    }

    /// Gives the listening ports of a cluster's gateways their numbers: to the oldest first.
    private mutating func assignPorts(at now: Instant) {
        let looked = keys(of: touched)
        var gone = freed.subtracting(looked)
        freed = []
        if !isSettled {
            // What the last configuration gave to those that went meanwhile.
            gone.formUnion(Set(ports.assigned.keys).subtracting(keys(of: entries.keys)))
            isSettled = true
        }
        unported.subtract(gone)
        var wanted = looked
        if !unported.isEmpty {
            // Whoever has waited for a port is before whoever is younger.
            wanted = keys(of: Set(unported.map(\.service)).union(touched))
        }
        let refused = ports.assign(wanted, releasing: gone, at: now)
        let before = unported
        unported = Set(refused)
        for key in before.symmetricDifference(unported) { touched.insert(key.service) }
    }

    private func turns(of names: some Sequence<String>) -> Turns {
        Turns(
            names.compactMap { name in entries[name].map { Turns.Turn(age: $0.age, name: name) } }
        )
    }

    /// What they listen with, from the oldest on.
    private func keys(of names: some Sequence<String>) -> [ListenerPorts.Key] {
        turns(of: names).oldestFirst.flatMap { entries[$0]?.keys ?? [] }
    }

    // MARK: The result

    /// All that is used, in the order of the names.
    package var services: [ServiceConfiguration] { entries.keys.sorted().compactMap(service) }

    /// What the configuration has of a Service; nil when it is not used.
    package func service(_ name: String) -> ServiceConfiguration? {
        guard let entry = entries[name], entry.isAccepted, var part = entry.part else { return nil }
        guard entry.listens else { return part }
        for index in part.ports.indices {
            let port = part.ports[index].port
            if isPlain {
                // One that is kept listens where it did.
                if entry.service != nil { part.ports[index].listen = .init(host: bind, port: port) }
            } else {
                let key = ListenerPorts.Key(service: name, port: port)
                part.ports[index].listen = ports.assigned[key].map { .init(port: $0) }
            }
        }
        return part
    }

    /// All findings: by object from the oldest on, then the ports that are missing.
    package var findings: [Finding] {
        let own = turns(of: entries.keys).oldestFirst.flatMap { entries[$0]?.findings ?? [] }
        guard !unported.isEmpty else { return own }
        return own + keys(of: entries.keys).filter(unported.contains).map(Self.noPort)
    }

    package func findings(of name: String) -> [Finding] {
        guard let entry = entries[name] else { return [] }
        guard !unported.isEmpty else { return entry.findings }
        return entry.findings + entry.keys.filter(unported.contains).map(Self.noPort)
    }

    /// Whether the first of two Services has what both claim.
    package func isOlder(_ left: String, _ right: String) -> Bool {
        guard let one = entries[left]?.age, let other = entries[right]?.age else { return false }
        return one < other
    }

    private static func noPort(_ key: ListenerPorts.Key) -> Finding {
        Finding(
            object: FoundObject(kind: .service, name: key.service),
            field: "spec.ports",
            condition: .programmed,
            reason: .portsExhausted,
            message:
                "no listener port is left for port \(key.port): the gateways have "
                + "\(ListenerPorts.range.count); remove Services, or set listen.enabled: false"
        )
    }
}

/// Who has what several claim: the lowest.
private struct Age: Comparable, Sendable {
    let isKept: Bool
    let seconds: Int64
    let uid: String
    let name: String

    static func kept(_ name: String) -> Self {
        Self(isKept: true, seconds: 0, uid: "", name: name)
    }

    /// The order of `isOlder`.
    static func object(_ metadata: ObjectMeta) -> Self {
        Self(
            isKept: false,
            seconds: metadata.creationTimestamp?.seconds ?? 0,
            uid: metadata.uid ?? "",
            name: metadata.name
        )
    }

    static func < (left: Self, right: Self) -> Bool {
        if left.isKept != right.isKept { return left.isKept }
        return (left.seconds, left.uid, left.name) < (right.seconds, right.uid, right.name)
    }
}

/// The objects that wait to be looked at, the oldest first, each once.
private struct Turns {
    struct Turn: Comparable {
        let age: Age
        let name: String

        static func < (left: Self, right: Self) -> Bool { left.age < right.age }
    }

    /// The youngest first.
    private var turns: [Turn]

    init(_ turns: [Turn]) { self.turns = turns.sorted { $1 < $0 } }

    var oldestFirst: [String] { turns.reversed().map(\.name) }

    mutating func next() -> Turn? { turns.popLast() }

    mutating func add(_ turn: Turn) {
        var (low, high) = (0, turns.count)
        while low < high {
            let middle = (low + high) / 2
            if turn < turns[middle] { low = middle + 1 } else { high = middle }
        }
        guard low == turns.count || turns[low] != turn else { return }
        turns.insert(turn, at: low)
    }
}
