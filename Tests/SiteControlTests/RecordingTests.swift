import Balancing
import Foundation
import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

@Suite("Recordings")
struct RecordingTests {
    /// A site of two gateways and a sidecar that another site dials, with cuts, connections and a drain.
    private func history(seed: UInt64) throws -> SimulatedSites {
        var sites = SimulatedSites(seed: seed)
        let (home, other) = (site(1), site(2))
        let backend = port("backend/http")
        for number in 1...2 as ClosedRange<UInt64> {
            _ = sites.gateway(proxy(home, number), mesh: "gateways", loops: 2)
        }
        _ = sites.sidecar(proxy(home, 9), of: "gateways", [backend])
        let client = sites.gateway(proxy(other, 1))
        let services = [try ServiceConfiguration.named("backend")]
        for node in 0...1 {
            sites.configure(node, 1, .of(home, allow: [other], services: services))
            sites.feed(.endpoints("backend-pods", [pod(1), pod(2, ready: false)]), to: node)
        }
        var named = try ServiceConfiguration.named("names", listens: 80)
        named.provider = .hosts(["nowhere", "10.9.9.9"])
        let wanted = try ServiceConfiguration.named("backend", provides: false, listens: 8080)
        sites.configure(
            client,
            1,
            .of(other, links: [try sites.link("home", to: 0)], services: [wanted, named])
        )
        sites.run(milliseconds: 3_000)
        for node in [0, 2, client] { sites.connect(backend, at: node) }
        for lane in sites.lanes.indices.prefix(3) { sites.cut(lane) }
        sites.run(milliseconds: 3_000)
        sites.feed(.configurationFailed("half a document"), to: client)
        sites.release(backend, at: client)
        sites.feed(.drain, to: 0)
        sites.run(milliseconds: 500)
        for input in [ControlInput.stopListening, .stopStreams, .stop] { sites.feed(input, to: 0) }
        sites.run(milliseconds: 500)
        return sites
    }

    @Test(
        "what is written down is read again, and a fresh control says the same",
        arguments: Seeds.some()
    )
    func replay(seed: UInt64) throws {
        let sites = try history(seed: seed)
        for node in sites.nodes.indices {
            let steps = sites.nodes[node].record
            var bytes = try Recording.header(
                sites.nodes[node].options,
                listeners: sites.listeners[node]
            )
            for step in steps {
                bytes.append(UInt8(ascii: "\n"))
                bytes += try Recording.line(
                    step.input,
                    at: step.at,
                    wall: step.wall,
                    step.outputs
                )
            }
            bytes.append(UInt8(ascii: "\n"))
            var (control, read) = try Recording.read(bytes)
            #expect(read.map(\.input) == steps.map(\.input))
            #expect(read.map(\.wall) == steps.map(\.wall))
            for (step, known) in zip(read, steps) {
                let outputs = control.handle(step.input, at: step.at, wall: step.wall)
                #expect(outputs == known.outputs)
            }
            #expect(try Recording.firstDifference(in: bytes) == nil)
            // Whoever stops in the midst of a line leaves one that is not whole.
            #expect(try Recording.read(bytes.dropLast(5)).steps.count == steps.count - 1)
        }
    }

    @Test("what the control said otherwise is found")
    func difference() throws {
        let sites = try history(seed: 1)
        let node = sites.nodes[0]
        var bytes = try Recording.header(node.options, listeners: nil)
        for (index, step) in node.record.prefix(20).enumerated() {
            bytes.append(UInt8(ascii: "\n"))
            let outputs = index == 7 ? step.outputs + [.log("something else")] : step.outputs
            bytes += try Recording.line(step.input, at: step.at, wall: step.wall, outputs)
        }
        bytes.append(UInt8(ascii: "\n"))
        #expect(try Recording.firstDifference(in: bytes)?.hasPrefix("input 8,") == true)
    }

    @Test("the digest tells outputs and their order apart, not the order of a set")
    func digest() {
        let (one, two) = (ControlOutput.log("one"), ControlOutput.log("two"))
        #expect(Recording.digest([one, two]) != Recording.digest([two, one]))
        #expect(Recording.digest([one]) != Recording.digest([one, one]))
        #expect(Recording.digest([]) != Recording.digest([one]))
        let sites = (1...20).map { site($0) }
        let digests = (0..<20).map { count in
            var counts: [SiteID: UInt64] = [:]
            counts.reserveCapacity(count * 50)
            for (index, site) in sites.enumerated() { counts[site] = UInt64(index) }
            return Recording.digest([.setOthers(port("a/b"), counts)])
        }
        #expect(Set(digests).count == 1)
    }

    @Test("the key of snapshots is not written down")
    func secrets() throws {
        let document = ConfigurationDocument(
            generation: 1,
            snapshotKey: "very-secret",
            configuration: .of(site(1))
        )
        let input = ControlInput.configuration(document, localAddresses: [.v4(1)])
        let line = try Recording.line(input, at: Instant(nanoseconds: 1), wall: .epoch, [])
        let text = String(decoding: line, as: UTF8.self)
        #expect(text.contains("\"generation\":1"))
        #expect(!text.contains("very-secret") && !text.contains("snapshotKey"))
    }

    @Test("every kind of input and end is read as it was written")
    func kinds() throws {
        let lane = LaneID(number: 4)
        let closing = LaneClosing(.notAllowed, "no")
        let ends: [LaneEnd] = [
            .unexpectedSite(site(3)), .certificate("late", isClockSkew: true),
            .alert(code: 42, name: "bad certificate"), .closedByNeighbor(closing),
            .closedHere(closing), .failed("reset"),
        ]
        var report = ServiceReport(port("a/b"))
        let target = Target(
            site: site(1),
            reach: .lastResort(cost: PathCost(3), endpoints: 2, doubt: .connectTimeout)
        )
        report.targets = [target, Target(site: site(2), reach: .absent(.siteLost))]
        report.states = [
            TargetState(
                target: target,
                condition: .ejected(.connectRefused, until: Instant(nanoseconds: 9)),
                own: 1,
                others: 2
            ),
            TargetState(target: target, condition: .doubtful(.other), own: 0, others: 0),
        ]
        report.ownServers = [Endpoint(address: .v6(1, 2), port: 3)]
        report.ownCounts = [site(1): 7]
        let place = ListenPlace(address: nil, port: 80)
        let inputs: [ControlInput] =
            ends.map { .ended(lane, $0, wasUp: true, LaneFigures(roundTrip: 1, active: 2)) } + [
                .lanePort(LanePort(purpose: .inside, port: 5672), loop: 1, failure: "taken"),
                .clientPlace(place, loop: 2, failure: nil), .services([report]),
                .measured(
                    [lane: LaneFigures(opened: 3)],
                    shortages: [HostShortage(name: "ports", explanation: "few")]
                ),
                .resolved(.server(host: "db"), .failed("no such name")), .disbelieved("forged"),
                .frame(.goAway, [], from: proxy(site(2), 1), on: lane),
            ]
        for input in inputs { #expect(try ControlInput(form: input.form) == input) }
    }
}
