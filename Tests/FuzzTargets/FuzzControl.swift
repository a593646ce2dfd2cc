import NetworkModel
import ProxyContract
import Routing
import SiteControl
import TestSupport
import Wire

/// A gateway that a neighbor of another site, a sibling, a sidecar and strangers tell what they like.
///
/// Nothing they say ends the process, nothing makes it answer without end, and a drain ends.
func fuzzControl(_ bytes: [UInt8]) {
    var gateway = FuzzedGateway()
    var decisions = Decisions(bytes)
    gateway.begin()
    while !decisions.isEmpty { gateway.step(&decisions) }
    gateway.end()
}

private struct FuzzedGateway {
    private static let home = site(1)
    private static let other = site(2)
    private static let own = ProxyID(site: home, instance: 1)
    private static let neighbors = [
        ProxyID(site: other, instance: 1), ProxyID(site: other, instance: 2),
        ProxyID(site: home, instance: 2), ProxyID(site: home, instance: 9),
        ProxyID(site: site(3), instance: 1),
    ]

    private var control: GatewayControl
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var wall = Timestamp(seconds: 1_700_000_000)
    private var isVerifying = true
    private var outputs = 0

    init() {
        control = GatewayControl(
            ControlOptions(
                own: Self.own,
                gateways: HostAndPort(host: "gateways", port: 5672),
                seed: 1
            )
        )
    }

    mutating func begin() {
        feed(.start)
        let key = [UInt8](repeating: 7, count: 32)
        feed(.credentials(certificateChain: [[1], [2]], agreementKey: key))
        configure(1)
        let endpoint = LocalEndpoint(
            endpoint: Endpoint(address: .v4(0x0A00_0001), port: 80),
            portName: nil,
            ready: true,
            serving: true,
            terminating: false
        )
        feed(.endpoints("backend-pods", [endpoint]))
        for neighbor in Self.neighbors.indices { enter(neighbor) }
    }

    private mutating func configure(_ generation: UInt64, allowsOther: Bool = true) {
        guard let address = ServiceAddress("backend"), let port = PortName("http") else { return }
        let service = ServiceConfiguration(
            name: "backend",
            address: address,
            ports: [
                ServicePortConfiguration(name: port, port: 8080, targetPort: 8080, listen: nil)
            ],
            provider: .endpointSlices(service: "backend-pods")
        )
        let configuration = SiteConfiguration(
            site: SiteName(id: Self.home, name: "home"),
            allow: allowsOther ? [SiteName(id: Self.other)] : [],
            acceptsLinks: true,
            links: [],
            services: [service],
            drain: DrainParameters(delay: .zero, grace: .seconds(5))
        )
        let document = ConfigurationDocument(
            generation: generation,
            snapshotKey: "",
            configuration: configuration
        )
        feed(.configuration(document, localAddresses: []))
    }

    private func lane(_ neighbor: Int) -> LaneID { LaneID(number: UInt64(neighbor) + 1) }

    private func hello(_ neighbor: Int) -> Hello {
        Hello(
            proxy: Self.neighbors[neighbor],
            isSidecar: neighbor == 3,
            loops: 1,
            name: "n\(neighbor)",
            link: neighbor < 2 ? LinkName("west") : nil,
            heartbeat: .milliseconds(250),
            misses: 3
        )
    }

    private mutating func enter(_ neighbor: Int) {
        let candidate = LaneCandidate(
            id: lane(neighbor),
            loop: 0,
            purpose: neighbor == 2 || neighbor == 3 ? .inside : .link,
            remote: Endpoint(address: .v4(0x0A00_0100 + UInt32(neighbor)), port: 40_000),
            site: Self.neighbors[neighbor].site,
            role: neighbor == 3 ? .sidecar : .gateway,
            hello: hello(neighbor)
        )
        feed(.candidate(candidate))
        feed(.welcomed(lane(neighbor)))
    }

    mutating func step(_ decisions: inout Decisions) {
        let neighbor = Int(decisions.byte()) % Self.neighbors.count
        switch decisions.byte() % 16 {
        case 0...8:
            let type = FrameType(rawValue: decisions.byte() % 16) ?? .wants
            let payload = decisions.bytes(decisions.number() % 2_048)
            feed(.frame(type, payload, from: Self.neighbors[neighbor], on: lane(neighbor)))
        case 9: wait(.milliseconds(decisions.number()))
        case 10: feed(.ended(lane(neighbor), .failed("it broke"), wasUp: true, LaneFigures()))
        case 11: enter(neighbor)
        case 12: isVerifying = decisions.byte() % 2 == 0
        case 13: configure(2 + UInt64(decisions.byte()), allowsOther: decisions.byte() % 2 == 0)
        case 14: feed(.endpoints("backend-pods", []))
        default: wall = wall + .seconds(decisions.number() - 32_768)
        }
    }

    /// Time goes by, with every deadline on the way; one that stands still would never end.
    private mutating func wait(_ duration: Duration) {
        let end = now + duration
        var turns = 0
        while let next = control.nextDeadline, next <= end {
            turns += 1
            precondition(turns < 100_000, "deadlines without end")
            now = max(now, next)
            feed(.deadline)
        }
        now = max(now, end)
    }

    mutating func end() {
        feed(.drain)
        wait(.seconds(1))
        for input in [ControlInput.stopListening, .stopStreams, .stop] { feed(input) }
        wait(.seconds(1))
        _ = control.wholeSnapshot(at: now, wall: wall)
    }

    /// What a shell would answer is answered at once.
    private mutating func feed(_ input: ControlInput) {
        var waiting = [input]
        var turns = 0
        while let next = waiting.popLast() {
            turns += 1
            precondition(turns < 10_000, "answers without end to \(input)")
            for output in control.handle(next, at: now, wall: wall) {
                if let answer = answer(output) { waiting.insert(answer, at: 0) }
            }
        }
    }

    private func answer(_ output: ControlOutput) -> ControlInput? {
        switch output {
        case .sign(let lsa):
            .signed(
                SignedLSA(
                    lsa: lsa,
                    bytes: LSACodec.seal(body: LSACodec.encodeBody(lsa), signature: [1])
                )
            )
        case .verify(let bytes): verdict(bytes)
        case .publishView(let number, _, _): .viewSeen(number)
        case .updateService(let service, _), .setOthers(let service, _),
            .setElsewhere(let service, _):
            .services([ServiceReport(service)])
        case .measure: .measured([:], shortages: [])
        case .resolve(let question): .resolved(question, .failed("nobody"))
        default: nil
        }
    }

    private func verdict(_ bytes: [UInt8]) -> ControlInput {
        guard isVerifying, let decoded = try? bytes.withRawSpan({ try LSACodec.decode($0) }) else {
            return .disbelieved("forged")
        }
        return .verified(SignedLSA(lsa: decoded.lsa, bytes: bytes))
    }
}
