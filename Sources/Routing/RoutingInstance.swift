package import NetworkModel

/// One gateway's link-state routing: adjacencies, database, flooding, shortest paths, route table.
///
/// Sans I/O. The shell drains the outputs of `handle` before the next input, and calls with `.deadline` once `nextDeadline` has
/// passed. Guarantees: an LSA is flooded on exactly as its origin signed it; a lost frame is sent again; equal databases
/// give equal paths everywhere; the table that `routesChanged` carries differs from the one before where it says so. What
/// others advertise and nobody here uses costs its bytes and nothing else.
package struct RoutingInstance: Sendable {
    package let origin: ProxyID
    private let predecessors: [ProxyID]
    package internal(set) var table: RouteTable
    var configuration = RoutingConfiguration()
    var certificateChain: [[UInt8]] = []
    var agreementKey: [UInt8] = []
    private(set) var adjacencies: [ProxyID: Adjacency] = [:]
    /// When something is due for which neighbor: an input costs what it concerns, however many neighbors there are.
    private var wakes = WakeList()
    /// The neighbors whose queues have changed since `wakes` was set for them.
    private var touched: Set<ProxyID> = []
    var services: [ServicePort: UInt32] = [:]
    /// Connections to this gateway's servers, as they are and as they are reported.
    private var ownLoads: [ServicePort: UInt64] = [:]
    private var toldLoads: [ServicePort: UInt64] = [:]
    /// Service ports of which others report other numbers of connections.
    var changedLoads: Set<ServicePort> = []
    var isWithdrawn = false
    var database: LSDB
    var pace = ArrivalPace()
    var origination: Origination
    var schedule = SPFSchedule()
    var summaryNumber: UInt32 = 0
    var index = ServiceIndex()
    var ways: ServiceWays
    /// Edges, or what gateways say about themselves, changed since the last run.
    var arePathsStale = false
    /// The gateways of which the next run looks at what they say about themselves.
    var staleOrigins: Set<ProxyID> = []
    /// The targets that the next run works out.
    var staleTargets: [ServicePort: Set<SiteID>] = [:]
    /// Advertisements that were refused for their dates.
    var outdated: UInt64 = 0

    struct Adjacency: Sendable {
        var edges: [EdgeName]
        var queue = FloodQueue()
        /// When the database is compared with the neighbor's again.
        var compareAt: Instant
        /// How often the neighbor may have the databases compared.
        var comparisons = TokenBucket(
            perSecond: RoutingLimits.comparisonsPerSecond,
            burst: RoutingLimits.comparisonBurst
        )

        /// When this neighbor has to be told something.
        func wakeAt(_ now: Instant) -> Instant {
            queue.hasNews ? now : min(queue.nextDeadline ?? compareAt, compareAt)
        }
    }

    /// `predecessors`: what this gateway was before it started again, as far as is known for certain.
    package init(origin: ProxyID, predecessors: [ProxyID] = []) {
        self.origin = origin
        self.predecessors = Array(predecessors.prefix(RoutingLimits.predecessors))
        database = LSDB(own: origin)
        table = RouteTable(origin: origin)
        origination = Origination(origin: origin)
        ways = ServiceWays(origin: origin)
    }

    /// Takes one thing that happened, and gives everything that has to be done about it.
    ///
    /// `now` is the monotonic clock, by which everything is timed; `wall` is the time of day in seconds since 1970, which
    /// only the dates of advertisements are compared with.
    package mutating func handle(
        _ input: RoutingInput,
        at now: Instant,
        wall: Int64
    ) -> [RoutingOutput] {
        var outputs: [RoutingOutput] = []
        origination.note(wall: wall, at: now)
        switch input {
        case .configure(let new): configure(new, at: now)
        case .credentials(let chain, let key):
            certificateChain = chain
            agreementKey = key
            origination.request(by: now)
        case .adjacency(let neighbor, let edges): setEdges(edges, to: neighbor, at: now)
        case .services(let new): setServices(new, at: now)
        case .loads(let new): setLoads(new, at: now)
        case .interest(let new): setInterest(new)
        case .withdraw:
            isWithdrawn = true
            origination.request(by: now)
        case .signed(let signed): accept(signed, from: nil, at: now, wall: wall)
        case .received(let signed, let neighbor):
            guard adjacencies[neighbor] != nil,
                receive(signed, from: neighbor, at: now, wall: wall)
            else { break }
            outputs.append(.send(.acknowledgment([signed.lsa.header]), to: neighbor))
        case .receivedKnown(let header, let neighbor):
            guard adjacencies[neighbor] != nil else { break }
            receiveKnown(header, from: neighbor)
            outputs.append(.send(.acknowledgment([header]), to: neighbor))
        case .acknowledged(let headers, let neighbor): acknowledge(headers, from: neighbor)
        case .summary(let summary, let neighbor):
            // One that comes too soon is not answered: it comes again.
            guard adjacencies[neighbor]?.comparisons.take(at: now) == true else { break }
            let wanted = compare(summary, with: neighbor)
            let answer = RoutingMessage.summaryAcknowledgment(
                number: summary.number,
                wanted: wanted
            )
            outputs.append(.send(answer, to: neighbor))
        case .summaryAcknowledged(let number, let wanted, let neighbor):
            var isAnswer = false
            withQueue(to: neighbor) { isAnswer = $0.acknowledgeSummary(number) }
            guard isAnswer else { break }
            for key in wanted { offer(key, to: neighbor) }
        case .deadline: break
        }
        advance(&outputs, at: now, wall: wall)
        return outputs
    }

    /// When `handle(.deadline)` has to be called at the latest.
    package var nextDeadline: Instant? {
        [wakes.next, origination.dueAt, schedule.dueAt, database.nextDeadline]
            .compactMap(\.self).min()
    }

    /// Services that the advertisements of a site name.
    package func serviceCount(of site: SiteID) -> Int { database.serviceCount(of: site) }

    /// False for what the database holds already: no need to verify its signature, `receivedKnown` will do.
    package func isNews(_ header: LSAHeader) -> Bool { database.isNews(header) }

    /// True for news that comes faster than its origin may make it: not worth verifying, as it would not be taken.
    ///
    /// It must not be acknowledged: the neighbor sends its newest again.
    package func isTooSoon(_ header: LSAHeader, at now: Instant) -> Bool {
        let isHeld = database[header.key] != nil
        return database.isNews(header) && !pace.allows(header.key, isHeld: isHeld, at: now)
    }

    /// Everything that is due, in the order in which it depends on each other.
    mutating func advance(
        _ outputs: inout [RoutingOutput],
        at now: Instant,
        wall: Int64
    ) {
        if let due = origination.dueAt, now >= due {
            outputs += origination.take(content, at: now, wall: wall).map(RoutingOutput.sign)
        }
        if let deadline = database.nextDeadline, now >= deadline {
            arePathsStale = true
            schedule.request(isUrgent: true)
        }
        if schedule.start(at: now, size: database.origins.count) { run(&outputs, at: now) }
        if !changedLoads.isEmpty {
            outputs.append(.loadsChanged(changedLoads))
            changedLoads = []
        }
        setWakes(at: now)
        // The same for all neighbors that are due.
        var held: [LSAHeader]?
        for neighbor in wakes.popDue(at: now) {
            guard var adjacency = adjacencies[neighbor] else { continue }
            if now >= adjacency.compareAt {
                adjacency.compareAt = now + RoutingLimits.comparison
                let headers = held ?? database.headers(of: connected)
                held = headers
                adjacency.queue.add(summaries(headers), at: now)
            }
            let messages = adjacency.queue.take(from: database, at: now)
            adjacencies[neighbor] = adjacency
            touched.insert(neighbor)
            outputs += messages.map { RoutingOutput.send($0, to: neighbor) }
        }
        setWakes(at: now)
    }

    private mutating func setWakes(at now: Instant) {
        for neighbor in touched {
            wakes.set(neighbor, at: adjacencies[neighbor]?.wakeAt(now))
        }
        touched.removeAll(keepingCapacity: true)
    }

    /// Has the databases compared with all neighbors', as when their adjacencies come up.
    mutating func compareSoon(at now: Instant) {
        for neighbor in adjacencies.keys {
            adjacencies[neighbor]?.compareAt = now
            touched.insert(neighbor)
        }
    }

    /// Changes what a neighbor still has to be sent; nothing when it is none any more.
    mutating func withQueue(to neighbor: ProxyID, _ change: (inout FloodQueue) -> Void) {
        guard let index = adjacencies.index(forKey: neighbor) else { return }
        change(&adjacencies.values[index].queue)
        touched.insert(neighbor)
    }
}

// MARK: - This gateway

extension RoutingInstance {
    mutating func configure(_ new: RoutingConfiguration, at now: Instant) {
        guard new != configuration else { return }
        if new.linkCosts != configuration.linkCosts
            || new.serviceCosts != configuration.serviceCosts
        {
            requestPaths(isUrgent: true)
        }
        configuration = new
        origination.request(by: now)
    }

    mutating func setServices(_ new: [ServicePort: UInt32], at now: Instant) {
        guard new != services else { return }
        // Who serves at all is urgent; how many servers there are can wait for others.
        let isUrgent =
            Set(new.filter { $0.value > 0 }.keys) != Set(services.filter { $0.value > 0 }.keys)
        services = new
        origination.request(by: isUrgent ? now : now + RoutingLimits.countBatch)
    }

    mutating func setLoads(_ new: [ServicePort: UInt64], at now: Instant) {
        guard new != ownLoads else { return }
        for service in Set(new.keys).union(ownLoads.keys) where new[service] != ownLoads[service] {
            changedLoads.insert(service)
            let (now, told) = (new[service] ?? 0, toldLoads[service] ?? 0)
            let moved = max(now, told) - min(now, told)
            if now == 0 || moved > told / RoutingLimits.loadStep { toldLoads[service] = now }
        }
        toldLoads = toldLoads.filter { $0.value > 0 }
        ownLoads = new
        origination.request(by: now + RoutingLimits.countBatch)
    }

    /// Connections that are open to the servers of a service port, by their sites, those of this gateway included.
    package func loads(of service: ServicePort) -> [SiteID: UInt64] {
        var loads: [SiteID: UInt64] = [:]
        if let own = ownLoads[service] { loads[origin.site] = own }
        for origin in index.gateways(of: service) {
            for lsa in database.advertisements(of: origin) {
                guard let load = lsa.loads.first(where: { $0.service == service }) else { continue }
                loads[origin.site, default: 0] += UInt64(load.open)
            }
        }
        return loads
    }

    private var reportedLoads: [LSALoad] {
        toldLoads.sorted { $0.key < $1.key }.prefix(RoutingLimits.loads).map { service, open in
            LSALoad(service: service, open: UInt32(min(open, UInt64(LinkCost.range.upperBound))))
        }
    }

    mutating func setEdges(_ edges: [EdgeName], to neighbor: ProxyID, at now: Instant) {
        guard neighbor != origin else { return }
        let edges = Array(Set(edges)).sorted()
        guard edges != adjacencies[neighbor]?.edges ?? [] else { return }
        touched.insert(neighbor)
        if edges.isEmpty {
            adjacencies[neighbor] = nil
        } else if adjacencies[neighbor] != nil {
            adjacencies[neighbor]?.edges = edges
        } else {
            // `compareAt` in the past: the databases are exchanged at once.
            adjacencies[neighbor] = Adjacency(edges: edges, compareAt: now)
        }
        requestPaths(isUrgent: true)
        origination.request(by: now)
    }

    mutating func setInterest(_ new: ServiceInterest) {
        markStale(index.set(new, database))
        if !staleTargets.isEmpty { schedule.request(isUrgent: true) }
    }

    mutating func requestPaths(isUrgent: Bool = false) {
        arePathsStale = true
        schedule.request(isUrgent: isUrgent)
    }

    var ownEdges: [LSAEdge] {
        adjacencies.flatMap { neighbor, adjacency in
            adjacency.edges.map { name in
                LSAEdge(neighbor: neighbor, name: name, cost: ownCost(name))
            }
        }
    }

    /// Of the Links over which there is somebody.
    var ownServiceCosts: [LSAServiceCost] {
        let links = Set(adjacencies.values.flatMap(\.edges).compactMap(ownLink))
        return links.flatMap { link in
            (configuration.serviceCosts[link] ?? [:]).map {
                LSAServiceCost(link: link, service: $0.key, cost: $0.value)
            }
        }
    }

    private func ownLink(_ name: EdgeName) -> LinkName? {
        guard case .link(origin.site, let link) = name else { return nil }
        return link
    }

    func ownCost(_ name: EdgeName) -> LinkCost? {
        ownLink(name).flatMap { configuration.linkCosts[$0] }
    }

    var content: Origination.Content {
        Origination.Content(
            overload: configuration.overload || isWithdrawn,
            displayName: configuration.displayName,
            agreementKey: agreementKey,
            certificateChain: certificateChain,
            predecessors: isWithdrawn ? [] : predecessors,
            serviceCosts: isWithdrawn ? [] : ownServiceCosts,
            loads: isWithdrawn ? [] : reportedLoads,
            edges: isWithdrawn ? [] : ownEdges,
            services: services.map { LSAService(service: $0.key, endpoints: $0.value) }
        )
    }
}
