import NetworkModel
import Routing
import Wire

// Routing: what its instance is fed, and what becomes of what it says.

extension GatewayControl {
    mutating func feed(_ input: RoutingInput, _ turn: inout Turn) {
        for output in routing.handle(input, at: turn.now, wall: turn.wall.seconds) {
            switch output {
            case .sign(let lsa): turn.outputs.append(.sign(lsa))
            case .send(let message, let neighbor):
                var writer = FrameWriter()
                message.encode(into: &writer)
                send(message.frameType, writer.bytes, to: neighbor, &turn)
            case .routesChanged(let table, let changes): routesChanged(table, changes, &turn)
            case .loadsChanged(let services): heardLoads(services, &turn)
            }
        }
    }

    private mutating func routesChanged(
        _ table: RouteTable,
        _ changes: RouteChanges,
        _ turn: inout Turn
    ) {
        if !changes.keys.isEmpty {
            let keys = changes.keys.map { ($0, table.gateways[$0]?.agreementKey) }
            turn.outputs.append(.agree(Dictionary(uniqueKeysWithValues: keys)))
        }
        services.refresh(changes.services, at: turn.now)
        heardLoads(changes.services, &turn)
        sidecars.changed(changes.services, names: changes.names, at: turn.now)
        shown.mark(changes.services)
        pace.changed(at: turn.now)
        if !changes.ended.isEmpty { tellEnded(changes.ended, &turn) }
        guard let first = changes.leftOut.min() else { return }
        turn.log(
            "\(changes.leftOut.count) services go the ways of all others though Links have costs of their own for"
                + " them, \(first) is one: at most \(RoutingLimits.costProfiles) different sets of costs are told apart"
        )
    }

    /// Takes what sites report of connections to their servers, of services for which that counts.
    mutating func heardLoads(_ changed: Set<ServicePort>, _ turn: inout Turn) {
        for key in changed.sorted() {
            let counts = services.policy(key).loadFrom == .allSites
            let loads = counts ? routing.loads(of: key) : [:]
            guard self.counts.setReported(key, loads, at: turn.now), services.known.contains(key)
            else { continue }
            turn.outputs.append(.setElsewhere(key, self.counts.elsewhere(key)))
        }
    }

    /// The streams of this gateway, and those of its sidecars, need not wait for these.
    private func tellEnded(_ proxies: Set<ProxyID>, _ turn: inout Turn) {
        turn.outputs.append(.ended(proxies))
        let frame = ProxiesEnded(Array(proxies.sorted().prefix(ProxiesEnded.limit)))
        for sidecar in sidecars.attached {
            send(.ended, frame.encoded, to: sidecar, &turn)
        }
    }

    /// Tells routing what somebody here uses of what others advertise.
    mutating func updateInterest(_ turn: inout Turn) {
        var interest = sidecars.wants
        interest.services.formUnion(services.ports)
        feed(.interest(interest), &turn)
    }

    // MARK: Frames

    /// A routing frame of a neighbor that is a gateway.
    mutating func receivedRouting(
        _ type: FrameType,
        _ bytes: [UInt8],
        from neighbor: ProxyID,
        _ turn: inout Turn
    ) throws(WireError) {
        switch type {
        case .lsa: try receivedAdvertisement(bytes, from: neighbor, &turn)
        case .lsaAcknowledgment:
            let headers = try bytes.decode(LSAAcknowledgmentCodec.decode)
            feed(.acknowledged(headers, from: neighbor), &turn)
        case .lsaSummary:
            let summary = try bytes.decode(LSASummaryCodec.decode)
            feed(.summary(summary, from: neighbor), &turn)
        case .lsaSummaryAcknowledgment:
            let (number, wanted) = try bytes.decode(LSASummaryAcknowledgmentCodec.decode)
            feed(.summaryAcknowledged(number: number, wanted: wanted, from: neighbor), &turn)
        default: break
        }
    }

    private mutating func receivedAdvertisement(
        _ bytes: [UInt8],
        from neighbor: ProxyID,
        _ turn: inout Turn
    ) throws(WireError) {
        let header = try bytes.decode(LSACodec.header)
        guard routing.isNews(header) else {
            feed(.receivedKnown(header, from: neighbor), &turn)
            return
        }
        // Not acknowledged: the neighbor sends its newest again.
        guard !routing.isTooSoon(header, at: turn.now) else { return }
        arrivals.append(
            LSAArrival(header: header, bytes: bytes, neighbor: neighbor),
            at: turn.now
        )
    }

    /// Has the next advertisement verified, if one is due.
    mutating func verifyNext(_ turn: inout Turn) {
        guard let arrival = arrivals.next(at: turn.now),
            neighborhood.table[arrival.neighbor] != nil
        else { return }
        // What came before it may be newer, or more than the pace allows.
        guard routing.isNews(arrival.header) else {
            feed(.receivedKnown(arrival.header, from: arrival.neighbor), &turn)
            return
        }
        guard !routing.isTooSoon(arrival.header, at: turn.now) else { return }
        arrivals.verify(arrival)
        turn.outputs.append(.verify(arrival.bytes))
    }

    mutating func verified(_ signed: SignedLSA, _ turn: inout Turn) {
        guard let arrival = arrivals.takeCurrent(at: turn.now) else { return }
        let refused = routing.refusals
        feed(.received(signed, from: arrival.neighbor), &turn)
        let site = arrival.header.key.origin.site
        turn.outputs.append(.account(site, .services(routing.serviceCount(of: site))))
        if routing.refusals > refused { turn.outputs.append(.account(site, .deniedServices)) }
    }

    mutating func disbelieved(_ reason: String, _ turn: inout Turn) {
        guard let arrival = arrivals.takeCurrent(at: turn.now) else { return }
        if arrivals.disbelieve(at: turn.now) {
            turn.log(
                "\(reason), from \(arrival.neighbor) (refused so far: \(refusedAdvertisements))"
            )
        }
        // Acknowledged, or it would come again every second; the next comparison asks for it again.
        feed(.receivedKnown(arrival.header, from: arrival.neighbor), &turn)
    }

    /// Advertisements that were not believed, or did not fit into the database.
    var refusedAdvertisements: UInt64 { arrivals.disbelieved + routing.refusals }
}
