package import NetworkModel

/// One target of a service, as a gateway tells its sidecars.
package struct SidecarTarget: Hashable, Sendable {
    /// Why it is in doubt is not told.
    package var target: Target
    /// Equal in cost, each from the gateway (exclusive) to the egress (inclusive).
    ///
    /// An empty one: the gateway itself connects. At most `WireLimit.routesPerTarget` are told.
    package var routes: [[ProxyID]]

    package init(_ target: Target, routes: [[ProxyID]]) {
        self.target = target
        self.routes = routes
        if case .lastResort(let cost, let endpoints, _) = target.reach {
            self.target.reach = .lastResort(cost: cost, endpoints: endpoints)
        }
    }

    func encode(into writer: inout FrameWriter) {
        writer.siteID(target.site)
        writer.uint32(target.reach.cost?.value ?? .max)
        writer.uint32(target.reach.offer?.endpoints ?? 0)
        writer.flag(target.reach.isLastResort)
        if case .absent(let reason) = target.reach {
            writer.text8(reason.rawValue)
        } else {
            writer.text8("")
        }
        let told = routes.prefix(WireLimit.routesPerTarget)
        writer.uint8(UInt8(told.count))
        for route in told { writer.route(route) }
    }

    init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        let site = try reader.siteID(payload)
        let cost = PathCost(try reader.uint32(payload))
        let endpoints = try reader.uint32(payload)
        let isLastResort = try reader.flag(payload)
        let absence = FailoverReason(written: try reader.text8(.reason, payload))
        let reach: Reach =
            if let absence {
                .absent(absence)
            } else if endpoints == 0 {
                .absent(.noEndpoints)
            } else if isLastResort {
                .lastResort(cost: cost, endpoints: endpoints)
            } else {
                .usable(cost: cost, endpoints: endpoints)
            }
        target = Target(site: site, reach: reach)
        routes = []
        let count = Int(try reader.uint8(payload))
        guard count <= WireLimit.routesPerTarget else {
            throw .tooLong(field: .route, count: count, limit: WireLimit.routesPerTarget)
        }
        for _ in 0..<count { routes.append(try reader.route(payload)) }
    }
}

/// One service port in a gateway's table.
package struct SidecarService: Hashable, Sendable {
    package var service: ServicePort
    package var timeouts: ServiceTimeouts
    package var targets: [SidecarTarget]

    package init(
        service: ServicePort,
        timeouts: ServiceTimeouts,
        targets: [SidecarTarget]
    ) {
        self.service = service
        self.timeouts = timeouts
        self.targets = targets
    }

    /// The service without its targets.
    var head: SidecarService { SidecarService(service: service, timeouts: timeouts, targets: []) }

    func encode(into writer: inout FrameWriter) {
        writer.servicePort(service)
        writer.duration(timeouts.connect)
        writer.duration(timeouts.idle)
        writer.duration(timeouts.halfClosed)
        writer.count16(targets.count)
        for target in targets { target.encode(into: &writer) }
    }

    init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        service = try reader.servicePort(payload)
        timeouts = ServiceTimeouts(
            connect: try reader.duration(payload),
            idle: try reader.duration(payload),
            halfClosed: try reader.duration(payload)
        )
        targets = []
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            targets.append(try SidecarTarget(reading: &reader, payload))
        }
    }
}
