import NetworkModel
import Routing
import Wire

/// One value of every frame, with its decoder, for the tests that hold for all of them.
struct Sample: Sendable, CustomStringConvertible {
    let type: FrameType
    var note = ""
    let bytes: [UInt8]
    /// Whether later versions may append fields, which this one leaves out.
    var mayGrow = false
    /// From here on nothing has to be there.
    var optionalFrom: Int?
    /// The last field is of any length, and begins here or before.
    var openFrom: Int?
    /// Decodes and encodes again.
    let again: @Sendable ([UInt8]) throws -> [UInt8]

    var description: String { "\(type) \(note)" }

    init(
        _ type: FrameType,
        _ note: String = "",
        bytes: [UInt8],
        openFrom: Int? = nil,
        again: @escaping @Sendable ([UInt8]) throws -> [UInt8]
    ) {
        self.type = type
        self.note = note
        self.bytes = bytes
        self.openFrom = openFrom
        self.again = again
    }

    init<Value: Frame>(_ frame: Value, _ note: String = "", openFrom: Int? = nil) {
        self.init(Value.type, note, bytes: frame.encoded, openFrom: openFrom) { bytes in
            try bytes.withRawSpan { try Value.decode($0) }.encoded
        }
        mayGrow = Value.mayGrow && openFrom == nil
    }

    /// The last bytes are left out where they say nothing.
    func withOptionalEnd(_ count: Int = 1) -> Sample {
        var sample = self
        sample.optionalFrom = bytes.count - count
        return sample
    }
}

enum Samples {
    static let east = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
    static let west = SiteID(publicKeyDigest: Array(repeating: 2, count: 32))
    static let gateway = ProxyID(site: east, instance: 0x0102_0304_0506_0708)
    static let other = ProxyID(site: west, instance: .max)
    static let now = Instant(nanoseconds: 50_000_000_000)

    static func target(_ site: SiteID, cost: UInt32, endpoints: UInt32 = 1) -> Target {
        Target(site: site, reach: .usable(cost: PathCost(cost), endpoints: endpoints))
    }

    static func service(_ text: String) throws -> ServicePort {
        guard let service = ServicePort(text) else { throw WireError.invalid(.serviceAddress) }
        return service
    }

    static func written(_ body: (inout FrameWriter) -> Void) -> [UInt8] {
        var writer = FrameWriter()
        body(&writer)
        return writer.bytes
    }

    static func all() throws -> [Sample] { try lane() + adjacency() + stream() + routing() }

    static func open() throws -> Open {
        Open(
            name: StreamName(ingress: gateway, number: 42),
            service: try service("backend.example/http"),
            route: [other, gateway],
            target: west,
            client: Endpoint(address: .v6(1, 2), port: 50_000),
            signature: Open.Signature(signer: gateway, mac: Array(1...16)),
            window: 65_536
        )
    }

    static func lane() -> [Sample] {
        let hello = Hello(
            proxy: gateway,
            isSidecar: true,
            loops: 2,
            name: "öst",
            link: LinkName("west"),
            heartbeat: .milliseconds(250),
            misses: 3
        )
        var beside = hello
        beside.lane = 1 << 40
        return [
            Sample(hello),
            // The grace is written as well.
            Sample(beside, "of a bulk lane").withOptionalEnd(16),
            Sample(BulkLane()),
            Sample(Renew()),
            Sample(JoinClaim(grant: "k7q", proof: Array(1...32))),
            Sample(GoAway()),
            Sample(Retire()),
            Sample(Heartbeat(sent: 1 << 40, echo: 2, held: .max)),
            Sample(LaneClosing(.notAllowed, "ask for the öst site"), openFrom: 2),
        ]
    }

    static func adjacency() throws -> [Sample] {
        let service = try service("backend/http")
        let counts = Counts(
            origin: gateway,
            version: 9,
            extent: .origin,
            entries: [
                Counts.Entry(service: service, target: east, open: 7),
                Counts.Entry(service: service, target: west, open: .counterLimit),
            ]
        )
        let table = SidecarTable(
            generation: 3,
            replacesAll: true,
            services: [
                SidecarService(
                    service: service,
                    timeouts: ServiceTimeouts(
                        connect: .seconds(3),
                        idle: .seconds(3600),
                        halfClosed: .seconds(300)
                    ),
                    targets: [
                        SidecarTarget(target(east, cost: 0, endpoints: 2), routes: [[]]),
                        SidecarTarget(
                            Target(site: west, reach: .absent(.linkLost)),
                            routes: [[other], [gateway, other]]
                        ),
                    ]
                )
            ],
            removed: [try self.service("gone/http")],
            names: [SidecarSiteName(site: west, name: "west")]
        )
        let policy = BalancingPolicy(
            weightBy: .site,
            weights: [east: 0],
            costs: [west: PathCost(50)],
            tiers: [[], [west]],
            minReadyEndpoints: 2,
            slowStart: .seconds(30),
            sites: [west]
        )
        var steered = table
        steered.policies = [SidecarPolicy(policy, of: service, for: [east, west])].compactMap(
            \.self
        )
        var early = steered
        early.early = [service]
        let report = SidecarReport(
            counters: [
                SidecarReport.Counter(
                    service: service,
                    active: 1,
                    opened: 2,
                    failed: 3,
                    interrupted: 4
                )
            ],
            failovers: [
                FailoverRecord(
                    sequence: 1,
                    service: service,
                    from: west,
                    to: east,
                    reason: .linkLost,
                    at: Instant(nanoseconds: 49_000_000_000),
                    lost: 1,
                    resumed: 2,
                    duration: .milliseconds(3)
                )
            ]
        )
        return [
            Sample(counts),
            Sample(table),
            Self.optional(Sample(steered, "with a policy"), from: table.encoded.count),
            Self.optional(
                Sample(early, "with first bytes in OPEN"),
                from: table.encoded.count
            ),
            Sample(SidecarWants([service, try self.service("gone/http")])),
            Sample(ProxiesEnded([gateway, other])),
            Sample(SidecarTableAcknowledgment(generation: 3, frames: 2)),
            Sample(.report, bytes: written { report.encode(into: &$0, at: now) }) { bytes in
                let value = try bytes.withRawSpan { try SidecarReport.decode($0, at: now) }
                return written { value.encode(into: &$0, at: now) }
            },
        ]
    }

    private static func optional(_ sample: Sample, from offset: Int) -> Sample {
        var sample = sample
        sample.optionalFrom = offset
        return sample
    }

    static func stream() throws -> [Sample] {
        var unsigned = try open()
        unsigned.signature = nil
        unsigned.client = Endpoint(address: .v4(0x7F00_0001), port: 1)
        var resumable = try open()
        resumable.isResumable = true
        var early = resumable
        early.early = Array("GET /".utf8)
        let opened = Opened(
            egress: other,
            window: 262_144,
            mac: Array(0..<16),
            isResumable: true
        )
        var tookEarly = opened
        tookEarly.tookEarly = true
        return resuming() + [
            Sample(try open()),
            Sample(unsigned, "of a sidecar"),
            Sample(resumable, "of a stream that can be resumed").withOptionalEnd(),
            Sample(Opened(egress: other, window: 262_144, mac: Array(0..<16))),
            Sample(opened, "of a stream that can be resumed").withOptionalEnd(),
            Self.optional(
                Sample(early, "with first bytes"),
                from: resumable.encoded.count - 1
            ),
            Sample(tookEarly, "to an OPEN with first bytes").withOptionalEnd(),
            Sample(Refused(by: other, reason: .draining)),
            Sample(Cancel()),
            Sample(.data, bytes: written { $0.uint64(1 << 33) } + [1, 2, 3], openFrom: 9) { bytes in
                let offset = try bytes.withRawSpan { try DataFrame.offset($0) }
                return written { $0.uint64(offset) } + bytes.dropFirst(DataFrame.headerSize)
            },
            Sample(Acknowledgment(offset: 1 << 40, window: 1 << 20)),
            Sample(Fin(offset: 12)),
            Sample(Reset(reason: .idle)),
        ]
    }

    static func resuming() -> [Sample] {
        let standing = StreamStanding(next: 1 << 40, hasFin: true, window: 65_536)
        var resume = Resume(
            name: StreamName(ingress: gateway, number: 42),
            epoch: 3,
            route: [other, gateway],
            signature: Open.Signature(signer: gateway, mac: Array(1...16)),
            standing: standing
        )
        let signed = Sample(resume)
        resume.signature = nil
        var bulk = resume
        bulk.isBulk = true
        let resumed = Resumed(
            egress: other,
            standing: standing,
            start: 1 << 41,
            mac: Array(0..<16)
        )
        return [
            signed, Sample(resume, "of a sidecar"), Sample(resumed), Sample(Detached()),
            Sample(bulk, "of a stream that is bulk").withOptionalEnd(),
            Sample(Refused(by: other, reason: .finished), "of a stream that has finished"),
        ]
    }

    static func lsa() throws -> LSA {
        guard let link = LinkName("west") else { throw WireError.invalid(.linkName) }
        return LSA(
            origin: gateway,
            sequence: 17,
            issued: 1_700_000_000,
            lifetime: 1_800,
            fragment: 1,
            fragmentCount: 2,
            overload: true,
            displayName: "east",
            agreementKey: Array(repeating: 5, count: 32),
            certificateChain: [[1, 2, 3], [4]],
            edges: [
                LSAEdge(neighbor: other, name: .mesh, cost: nil),
                LSAEdge(
                    neighbor: other,
                    name: .link(dialer: east, name: link),
                    cost: .standard
                ),
            ],
            services: [LSAService(service: try service("backend/http"), endpoints: 3)]
        )
    }

    private static func advertisement(_ lsa: LSA, _ note: String = "") -> Sample {
        let bytes = LSACodec.seal(body: LSACodec.encodeBody(lsa), signature: [9, 9])
        return Sample(.lsa, note, bytes: bytes) { bytes in
            let value = try bytes.withRawSpan { try LSACodec.decode($0) }
            return LSACodec.seal(
                body: LSACodec.encodeBody(value.lsa),
                signature: value.signature
            )
        }
    }

    static func routing() throws -> [Sample] {
        let key = LSAKey(origin: gateway, fragment: 1)
        let header = LSAHeader(key: key, sequence: 5)
        let summary = LSASummary(number: 1, after: nil, through: key, headers: [header])
        var successor = try lsa()
        successor.fragment = 0
        successor.predecessors = [3, 4].map { ProxyID(site: east, instance: $0) }
        var priced = try lsa()
        priced.edges.removeLast()
        for (name, address) in [("east", "a"), ("west", "a"), ("west", "b.c")] {
            guard let link = LinkName(name), let service = ServiceAddress(address),
                let cost = LinkCost(99)
            else { throw WireError.invalid(.linkName) }
            priced.serviceCosts.append(LSAServiceCost(link: link, service: service, cost: cost))
        }
        var loaded = try lsa()
        loaded.loads = [
            LSALoad(service: try service("a/z"), open: 7),
            LSALoad(service: try service("b.c/http"), open: 1_000_000),
        ]
        return [
            advertisement(try lsa()),
            advertisement(priced, "of Links that cost something else for single services"),
            advertisement(loaded, "of servers whose connections are reported"),
            advertisement(successor, "of a gateway that has started again"),
            Sample(
                .lsaAcknowledgment,
                bytes: written(RoutingMessage.acknowledgment([header]).encode)
            ) { bytes in
                let value = try bytes.withRawSpan { try LSAAcknowledgmentCodec.decode($0) }
                return written(RoutingMessage.acknowledgment(value).encode)
            },
            Sample(
                .lsaSummary,
                bytes: written(RoutingMessage.summary(summary).encode)
            ) {
                bytes in
                let value = try bytes.withRawSpan { try LSASummaryCodec.decode($0) }
                return written(RoutingMessage.summary(value).encode)
            },
            Sample(
                .lsaSummaryAcknowledgment,
                bytes: written(
                    RoutingMessage.summaryAcknowledgment(number: 1, wanted: [key]).encode
                )
            ) { bytes in
                let value = try bytes.withRawSpan { try LSASummaryAcknowledgmentCodec.decode($0) }
                return written(
                    RoutingMessage.summaryAcknowledgment(
                        number: value.number,
                        wanted: value.wanted
                    ).encode
                )
            },
        ]
    }
}
