import Foundation
import NetworkModel
import ProxyContract
import Testing

@testable import CommandLineTool

@Suite("Drawings of the network")
struct NetworkDrawingTests {
    private static func site(_ letter: Character, _ name: String) throws -> SiteName {
        let id = try #require(SiteID(String(repeating: letter, count: SiteID.length)))
        return SiteName(id: id, name: name)
    }

    private static func words(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
        }
    }

    /// East has two gateways and dials west, whose name has no good in mind; dr is out of reach behind west.
    private func map() throws -> NetworkMap {
        let (east, west, dr) = (
            try Self.site("A", "east"), try Self.site("B", "we\"st\u{1B}[2J"),
            try Self.site("C", "")
        )
        let first = ProxyID(site: east.id, instance: 1)
        let second = ProxyID(site: east.id, instance: 2)
        let far = ProxyID(site: west.id, instance: 3)
        let lost = ProxyID(site: dr.id, instance: 4)
        let link = try #require(LinkName("to-west"))
        return NetworkMap(
            proxy: first,
            site: east,
            time: Timestamp(seconds: 1_800_000_000),
            gateways: [
                .init(
                    proxy: first,
                    site: east,
                    isDraining: false,
                    services: 2,
                    routes: [.init(cost: .zero, via: nil, hops: [])]
                ),
                .init(
                    proxy: second,
                    site: east,
                    isDraining: true,
                    services: 3,
                    routes: [.init(cost: .zero, via: nil, hops: [second])]
                ),
                .init(
                    proxy: far,
                    site: west,
                    isDraining: false,
                    services: 1,
                    routes: [
                        .init(cost: PathCost(10), via: link, hops: [far]),
                        .init(cost: PathCost(10), via: nil, hops: [second, far]),
                    ]
                ),
                .init(proxy: lost, site: dr, isDraining: false, services: 0, routes: []),
            ],
            edges: [
                .init(link: nil, from: first, to: second, cost: nil, isUp: true),
                .init(link: link, from: first, to: far, cost: LinkCost(10), isUp: true),
                .init(link: link, from: second, to: far, cost: LinkCost(10), isUp: false),
                .init(link: LinkName("dr"), from: lost, to: far, cost: nil, isUp: false),
            ]
        )
    }

    @Test("the text has a line for each site and each Link")
    func text() throws {
        let lines = Self.words(NetworkDrawing(try map()).text)
        let ids = ["A", "B", "C"].map { String(repeating: $0, count: SiteID.length) }
        #expect(
            Array(lines[2...]) == [
                "SITE COST ROUTE GATEWAYS SERVICES ID",
                "east 0 local 2 (1 draining) 3 \(ids[0])",
                "we\"st?[2J 10 we\"st?[2J 1 1 \(ids[1])",
                "\(ids[2]) <none> out of reach 1 0 \(ids[2])", "",
                "LINK FROM TO COST STATE",
                "to-west east we\"st?[2J 10 up (1 of 2)",
                "dr \(ids[2]) we\"st?[2J <none> down", "",
            ]
        )
    }

    @Test("routes has a line for each way")
    func routes() throws {
        let map = try map()
        let lines = Self.words(map.text(of: map.gateways))
        let far = "\(String(repeating: "B", count: SiteID.length))/0000000000000003"
        #expect(lines[0] == "SITE COST VIA ROUTE GATEWAY")
        #expect(lines[3] == "we\"st?[2J 10 link/to-west we\"st?[2J \(far)")
        #expect(lines[4] == "we\"st?[2J 10 mesh east > we\"st?[2J \(far)")
        #expect(lines[5].contains("<none> <none> out of reach"))
        // Sites on the way keep their names where only some gateways are shown.
        #expect(Self.words(map.text(of: [map.gateways[2]]))[2] == lines[4])
    }

    @Test("graphs quote what other sites call themselves")
    func graphs() throws {
        let drawing = NetworkDrawing(try map())
        let ids = ["A", "B", "C"].map { String(repeating: $0, count: SiteID.length) }
        #expect(
            drawing.dot == """
                graph tieline {
                  node [shape=box];
                  "\(ids[0])" [label="east\\n2 gateways"];
                  "\(ids[1])" [label="we\\"st?[2J\\n1 gateway"];
                  "\(ids[2])" [label="\(ids[2])\\nout of reach", style=dashed];
                  "\(ids[0])" -- "\(ids[1])" [label="to-west\\ncost 10\\nup (1 of 2)"];
                  "\(ids[2])" -- "\(ids[1])" [label="dr\\ncost unknown\\ndown", style=dashed];
                }

                """
        )
        #expect(
            drawing.mermaid == """
                flowchart LR
                  s0["east<br/>2 gateways"]
                  s1["we#34;st#63;#91;2J<br/>1 gateway"]
                  s2["\(ids[2])<br/>out of reach"]
                  s0 ---|"to-west<br/>cost 10<br/>up (1 of 2)"| s1
                  s2 -.-|"dr<br/>cost unknown<br/>down"| s1

                """
        )
    }

    @Test("a trace has a line for each hop, with what it adds, and says what became of the stream")
    func trace() throws {
        let (east, west) = (try Self.site("A", "east"), try Self.site("B", "west"))
        let (near, far) = (
            ProxyID(site: east.id, instance: 1), ProxyID(site: west.id, instance: 2)
        )
        var trace = ServiceTrace(
            proxy: near,
            site: east,
            service: try #require(ServicePort("backend/http")),
            time: Timestamp(seconds: 1_800_000_000),
            target: west,
            pathCost: PathCost(10),
            hops: [
                .init(
                    proxy: near,
                    site: east,
                    answer: .init(isGood: true, reason: "Answered", microseconds: 425)
                ),
                .init(
                    proxy: far,
                    site: west,
                    answer: .init(isGood: true, reason: "Answered", microseconds: 80_120)
                ),
            ],
            stream: .init(isGood: true, reason: "Opened", microseconds: 80_999)
        )
        var lines = Self.words(trace.text)
        #expect(lines[2] == "HOP SITE ROUND TRIP MORE THAN BEFORE ANSWER GATEWAY")
        #expect(lines[3] == "1 east 0.43 ms 0.43 ms Answered \(near)")
        #expect(lines[4] == "2 west 80.12 ms 79.70 ms Answered \(far)")
        #expect(lines[6] == "A stream to a server of west opened in 81.00 ms at a path cost of 10.")
        trace.hops[0].answer = .init(isGood: false, reason: "no answer", microseconds: nil)
        trace.stream = .init(isGood: false, reason: "NoEndpoint, says \(far)", microseconds: 9)
        lines = Self.words(trace.text)
        #expect(lines[4] == "2 west 80.12 ms <none> Answered \(far)")
        #expect(lines[6] == "No stream was opened: NoEndpoint, says \(far).")
    }
}
