package import NetworkModel

/// One target of a service, as a gateway tells its sidecars.
package struct SidecarTarget: Hashable, Sendable {
    package var site: SiteID
    package var cost: PathCost
    /// Ready endpoints of the target; 0 when it is not usable.
    package var weight: UInt32
    /// Only used while nothing else is: its endpoints still serve while they terminate.
    package var isLastResort: Bool
    /// Why it is not usable; nil when it is.
    package var absence: FailoverReason?
    /// Equal in cost, each from the gateway (exclusive) to the egress (inclusive).
    ///
    /// An empty one: the gateway itself connects. At most `WireLimit.routesPerTarget` are told.
    package var routes: [[ProxyID]]

    package init(
        site: SiteID,
        cost: PathCost,
        weight: UInt32,
        isLastResort: Bool = false,
        absence: FailoverReason? = nil,
        routes: [[ProxyID]]
    ) {
        self.site = site
        self.cost = cost
        self.weight = weight
        self.isLastResort = isLastResort
        self.absence = absence
        self.routes = routes
    }

    func encode(into writer: inout FrameWriter) {
        writer.siteID(site)
        writer.uint32(cost.value)
        writer.uint32(weight)
        writer.flag(isLastResort)
        writer.text8(absence?.rawValue ?? "")
        let told = routes.prefix(WireLimit.routesPerTarget)
        writer.uint8(UInt8(told.count))
        for route in told { writer.route(route) }
    }

    init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        site = try reader.siteID(payload)
        cost = PathCost(try reader.uint32(payload))
        weight = try reader.uint32(payload)
        isLastResort = try reader.flag(payload)
        absence = FailoverReason(written: try reader.text8(.reason, payload))
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
    package var connect: Duration
    package var idle: Duration
    package var halfClosed: Duration
    package var targets: [SidecarTarget]

    package init(
        service: ServicePort,
        connect: Duration,
        idle: Duration,
        halfClosed: Duration,
        targets: [SidecarTarget]
    ) {
        self.service = service
        self.connect = connect
        self.idle = idle
        self.halfClosed = halfClosed
        self.targets = targets
    }

    /// The service without its targets.
    var head: SidecarService {
        SidecarService(
            service: service,
            connect: connect,
            idle: idle,
            halfClosed: halfClosed,
            targets: []
        )
    }

    func encode(into writer: inout FrameWriter) {
        writer.servicePort(service)
        writer.duration(connect)
        writer.duration(idle)
        writer.duration(halfClosed)
        writer.count16(targets.count)
        for target in targets { target.encode(into: &writer) }
    }

    init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        service = try reader.servicePort(payload)
        connect = try reader.duration(payload)
        idle = try reader.duration(payload)
        halfClosed = try reader.duration(payload)
        targets = []
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            targets.append(try SidecarTarget(reading: &reader, payload))
        }
    }
}
