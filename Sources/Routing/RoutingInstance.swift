package import NetworkModel

/// One gateway's link-state routing: adjacencies, database, flooding, shortest paths, route table.
///
/// Sans I/O. The shell drains the outputs of `handle` before the next input, and calls with `.deadline` once `nextDeadline` has
/// passed. Guarantees: an LSA is flooded on exactly as its origin signed it; a lost frame is sent again; equal databases
/// give equal paths everywhere; the table that `routesChanged` carries differs from the one before.
package struct RoutingInstance: Sendable {
    package let origin: ProxyID
    package private(set) var table: RouteTable
    private var configuration = RoutingConfiguration()
    private var certificateChain: [[UInt8]] = []
    private var agreementKey: [UInt8] = []
    private var adjacencies: [ProxyID: Adjacency] = [:]
    private var services: [ServicePort: UInt32] = [:]
    private var database = LSDB()
    private var origination: Origination
    private var schedule = SPFSchedule()
    private var summaryNumber: UInt32 = 0
    /// Whom any chain of edges joins to this gateway, as of the last run.
    private var connected: Set<ProxyID>

    private struct Adjacency: Sendable {
        var edges: [EdgeName]
        var queue = FloodQueue()
        /// When the database is compared with the neighbor's again.
        var compareAt: Instant
    }

    package init(origin: ProxyID) {
        self.origin = origin
        table = RouteTable(origin: origin)
        origination = Origination(origin: origin)
        connected = [origin]
    }

    /// Takes one thing that happened, and gives everything that has to be done about it.
    package mutating func handle(_ input: RoutingInput, at now: Instant) -> [RoutingOutput] {
        var outputs: [RoutingOutput] = []
        switch input {
        case .configure(let new): configure(new, at: now)
        case .credentials(let chain, let key):
            certificateChain = chain
            agreementKey = key
            origination.request(by: now)
        case .adjacency(let neighbor, let edges): setEdges(edges, to: neighbor, at: now)
        case .services(let new): setServices(new, at: now)
        case .signed(let signed): accept(signed, from: nil, at: now)
        case .received(let signed, let neighbor):
            guard adjacencies[neighbor] != nil else { break }
            receive(signed, from: neighbor, at: now)
            outputs.append(.send(.acknowledgement([signed.lsa.header]), to: neighbor))
        case .receivedKnown(let header, let neighbor):
            guard adjacencies[neighbor] != nil else { break }
            receiveKnown(header, from: neighbor)
            outputs.append(.send(.acknowledgement([header]), to: neighbor))
        case .acknowledged(let headers, let neighbor): acknowledge(headers, from: neighbor)
        case .summary(let summary, let neighbor):
            guard adjacencies[neighbor] != nil else { break }
            let wanted = compare(summary, with: neighbor)
            let answer = RoutingMessage.summaryAcknowledgement(
                number: summary.number,
                wanted: wanted
            )
            outputs.append(.send(answer, to: neighbor))
        case .summaryAcknowledged(let number, let wanted, let neighbor):
            guard adjacencies[neighbor]?.queue.acknowledgeSummary(number) == true else { break }
            for key in wanted where database[key] != nil {
                adjacencies[neighbor]?.queue.enqueue(key)
            }
        case .deadline: break
        }
        advance(&outputs, at: now)
        return outputs
    }

    /// When `handle(.deadline)` has to be called at the latest.
    package var nextDeadline: Instant? {
        let flooding = adjacencies.values.lazy.map { adjacency in
            min(adjacency.queue.nextDeadline ?? adjacency.compareAt, adjacency.compareAt)
        }
        // Forgetting an origin is part of the next run, so a requested run stands for it.
        let run = schedule.dueAt ?? database.nextDeadline
        return [flooding.min(), origination.dueAt, run].compactMap(\.self).min()
    }

    /// False for what the database holds already: no need to verify its signature, `receivedKnown` will do.
    package func isNews(_ header: LSAHeader) -> Bool { database.isNews(header) }

    /// Everything that is due, in the order in which it depends on each other.
    private mutating func advance(_ outputs: inout [RoutingOutput], at now: Instant) {
        if let due = origination.dueAt, now >= due {
            outputs += origination.take(content, at: now).map(RoutingOutput.sign)
        }
        if let deadline = database.nextDeadline, now >= deadline { schedule.request() }
        if schedule.start(at: now, size: database.fragments.count) { run(&outputs, at: now) }
        for neighbor in adjacencies.keys.sorted() {
            guard var adjacency = adjacencies[neighbor] else { continue }
            if now >= adjacency.compareAt {
                adjacency.compareAt = now + RoutingLimits.comparison
                adjacency.queue.add(summaries(), at: now)
            }
            let messages = adjacency.queue.take(from: database, at: now)
            adjacencies[neighbor] = adjacency
            outputs += messages.map { RoutingOutput.send($0, to: neighbor) }
        }
    }
}

// MARK: - This gateway

extension RoutingInstance {
    private mutating func configure(_ new: RoutingConfiguration, at now: Instant) {
        guard new != configuration else { return }
        if new.linkCosts != configuration.linkCosts { schedule.request(isUrgent: true) }
        configuration = new
        origination.request(by: now)
    }

    private mutating func setServices(_ new: [ServicePort: UInt32], at now: Instant) {
        let stepped = new.mapValues(EndpointStep.down)
        guard stepped != services else { return }
        // Who serves at all is urgent; how many servers there are can wait for others.
        let isUrgent =
            Set(stepped.filter { $0.value > 0 }.keys) != Set(services.filter { $0.value > 0 }.keys)
        services = stepped
        origination.request(by: isUrgent ? now : now + RoutingLimits.countBatch)
    }

    private mutating func setEdges(_ edges: [EdgeName], to neighbor: ProxyID, at now: Instant) {
        guard neighbor != origin else { return }
        let edges = Array(Set(edges)).sorted()
        guard edges != adjacencies[neighbor]?.edges ?? [] else { return }
        if edges.isEmpty {
            adjacencies[neighbor] = nil
        } else if adjacencies[neighbor] != nil {
            adjacencies[neighbor]?.edges = edges
        } else {
            // `compareAt` in the past: the databases are exchanged at once.
            adjacencies[neighbor] = Adjacency(edges: edges, compareAt: now)
        }
        schedule.request(isUrgent: true)
        origination.request(by: now)
    }

    private var ownEdges: [LSAEdge] {
        adjacencies.flatMap { neighbor, adjacency in
            adjacency.edges.map { name in
                LSAEdge(neighbor: neighbor, name: name, cost: ownCost(name))
            }
        }
    }

    private func ownCost(_ name: EdgeName) -> LinkCost? {
        guard case .link(origin.site, let link) = name else { return nil }
        return configuration.linkCosts[link]
    }

    private var content: Origination.Content {
        Origination.Content(
            overload: configuration.overload,
            displayName: configuration.displayName,
            agreementKey: agreementKey,
            certificateChain: certificateChain,
            edges: ownEdges,
            services: services.map { LSAService(service: $0.key, endpoints: $0.value) }
        )
    }
}

// MARK: - Flooding

extension RoutingInstance {
    private mutating func receive(_ signed: SignedLSA, from neighbor: ProxyID, at now: Instant) {
        if signed.lsa.origin == origin {
            // Ours comes back; a newer one than we made must be overtaken.
            if database.isNews(signed.lsa.header) {
                origination.overtake(signed.lsa.sequence, at: now)
            }
        } else if database.isNews(signed.lsa.header) {
            accept(signed, from: neighbor, at: now)
        } else {
            receiveKnown(signed.lsa.header, from: neighbor)
        }
    }

    private mutating func receiveKnown(_ header: LSAHeader, from neighbor: ProxyID) {
        let held = database.sequence(header.key)
        adjacencies[neighbor]?.queue.acknowledge(header, newest: held)
        // The neighbor lives in the past: send what is newer.
        if let held, held > header.sequence { adjacencies[neighbor]?.queue.enqueue(header.key) }
    }

    private mutating func accept(_ signed: SignedLSA, from neighbor: ProxyID?, at now: Instant) {
        guard database.insert(signed) == .accepted else { return }
        for other in adjacencies.keys where other != neighbor {
            adjacencies[other]?.queue.enqueue(signed.lsa.key)
        }
        if let neighbor {
            adjacencies[neighbor]?.queue
                .acknowledge(signed.lsa.header, newest: signed.lsa.sequence)
            schedule.request()
        }
    }

    private mutating func acknowledge(_ headers: [LSAHeader], from neighbor: ProxyID) {
        for header in headers {
            adjacencies[neighbor]?.queue
                .acknowledge(header, newest: database.sequence(header.key))
        }
    }

    /// Queues what the neighbor lacks in the summary's range, and gives what it has and we lack.
    private mutating func compare(_ summary: LSASummary, with neighbor: ProxyID) -> [LSAKey] {
        var theirs: [LSAKey: UInt64] = [:]
        var wanted: [LSAKey] = []
        for header in summary.headers where summary.covers(header.key) {
            theirs[header.key] = header.sequence
            if header.key.origin != origin, database.isNews(header) { wanted.append(header.key) }
        }
        for header in database.headers(of: connected) where summary.covers(header.key) {
            if header.sequence > theirs[header.key] ?? 0 {
                adjacencies[neighbor]?.queue.enqueue(header.key)
            }
        }
        return wanted.sorted()
    }

    /// The database in pieces; origins out of reach are left out, so that they can be forgotten everywhere.
    private mutating func summaries() -> [LSASummary] {
        let headers = database.headers(of: connected)
        var pieces: [LSASummary] = []
        var after: LSAKey?
        var start = 0
        repeat {
            let end = min(start + RoutingLimits.headersPerMessage, headers.count)
            let isLast = end == headers.count
            let through = isLast ? nil : headers[end - 1].key
            summaryNumber &+= 1
            pieces.append(
                LSASummary(
                    number: summaryNumber,
                    after: after,
                    through: through,
                    headers: Array(headers[start..<end])
                )
            )
            after = through
            start = end
        } while start < headers.count
        return pieces
    }
}

// MARK: - Paths

extension RoutingInstance {
    private mutating func run(_ outputs: inout [RoutingOutput], at now: Instant) {
        let graph = Graph(root: origin, rootEdges: ownEdges, database: database)
        connected = graph.connected
        database.age(reachable: connected, at: now)
        var new = RouteTable(origin: origin, paths: SPF.paths(graph), database: database)
        new.version = table.version
        guard new != table else { return }
        new.version += 1
        table = new
        outputs.append(.routesChanged(new))
    }

    /// Every LSA that is held, for tests and for people.
    package var headers: [LSAHeader] {
        database.headers(of: Set(database.fragments.keys))
    }

    /// Advertisements that did not fit into the database since the start.
    package var refusals: UInt64 { database.refusals }

    /// True when nothing is on its way to any neighbor.
    package var isQuiet: Bool { adjacencies.values.allSatisfy(\.queue.isIdle) }
}
