import NetworkModel
import Routing
import TestSupport
import Testing
import Wire

@Suite("Frames")
struct FrameTests {
    @Test("every frame is what it says after a round trip", arguments: try Samples.all())
    func roundTrip(_ sample: Sample) throws {
        #expect(try sample.again(sample.bytes) == sample.bytes)
    }

    @Test("there is a sample of every type")
    func coverage() throws {
        #expect(Set(try Samples.all().map(\.type)) == Set(FrameType.allCases))
    }

    @Test("a frame cut anywhere is an error", arguments: try Samples.all())
    func truncated(_ sample: Sample) {
        for length in 0..<(sample.openFrom ?? sample.optionalFrom ?? sample.bytes.count) {
            #expect(throws: WireError.self, "\(length) bytes") {
                try sample.again(Array(sample.bytes[..<length]))
            }
        }
    }

    @Test(
        "the grace of a Link is a late field of HELLO, which older proxies neither send nor read"
    )
    func grace() throws {
        var hello = Hello(
            proxy: Samples.gateway,
            isSidecar: false,
            loops: 1,
            name: "",
            link: LinkName("west"),
            heartbeat: .milliseconds(250),
            misses: 3
        )
        let without = hello.encoded
        hello.resumeGrace = .seconds(30)
        #expect(hello.encoded == without + [0, 0, 0, 0, 1, 0xC9, 0xC3, 0x80])
        func read(_ bytes: [UInt8]) throws -> Duration? {
            try bytes.withRawSpan { try Hello.decode($0) }.resumeGrace
        }
        #expect(try read(without) == nil)
        #expect(try read(hello.encoded) == .seconds(30))
        #expect(try read(hello.encoded + [1, 2]) == .seconds(30))
        // Nobody makes this proxy keep connections for longer, or give them up at once.
        for (asked, kept) in [(Duration.zero, 1), (.seconds(86_400), 300)] {
            hello.resumeGrace = asked
            #expect(try read(hello.encoded) == .seconds(kept))
        }
    }

    @Test("the number of a lane follows the grace in HELLO, and older proxies read neither")
    func laneNumber() throws {
        var hello = Hello(
            proxy: Samples.gateway,
            isSidecar: false,
            loops: 1,
            name: "",
            link: LinkName("west"),
            heartbeat: .milliseconds(250),
            misses: 3
        )
        let without = hello.encoded
        hello.lane = 7
        let grace: [UInt8] = [0, 0, 0, 0, 0, 0x98, 0x96, 0x80]
        #expect(hello.encoded == without + grace + [0, 0, 0, 0, 0, 0, 0, 7])
        func read(_ bytes: [UInt8]) throws -> Hello {
            try bytes.withRawSpan { try Hello.decode($0) }
        }
        #expect(try read(without).lane == nil)
        #expect(try read(without + grace).lane == nil)
        #expect(try read(hello.encoded).lane == 7)
        #expect(try read(hello.encoded).resumeGrace == ResumeGrace.standard)
    }

    @Test("a frame with bytes behind it is an error", arguments: try Samples.all())
    func trailing(_ sample: Sample) throws {
        if sample.openFrom != nil {
            #expect(try sample.again(sample.bytes + [65]) == sample.bytes + [65])
        } else if sample.mayGrow {
            #expect(try sample.again(sample.bytes + [0]) == sample.bytes)
        } else {
            #expect(throws: WireError.self) { try sample.again(sample.bytes + [0]) }
        }
    }

    @Test(
        "changed bytes give a frame or an error, nothing else",
        arguments: try Samples.all(),
        Seeds.some(3)
    )
    func mutated(_ sample: Sample, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            var bytes = sample.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                guard let index = bytes.indices.randomElement(using: &random) else { continue }
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            // What decodes is a value with one encoding, which decodes to the same value.
            guard let again = try? sample.again(bytes) else { continue }
            #expect(try sample.again(again) == again)
        }
    }

    @Test("an unknown type below 128 is fatal, from 128 on ignored")
    func unknownTypes() throws {
        #expect(throws: WireError.unknownFrame(type: 127)) { try FrameType.known(127) }
        #expect(try FrameType.known(140) == nil)
        #expect(try FrameType.known(20) == .data)
    }

    @Test("a header keeps a 24-bit length, a type and a label")
    func header() throws {
        var writer = FrameWriter()
        let header = FrameHeader(length: 66_560, type: 20, label: 0xDEAD_BEEF)
        writer.uint64(header.word)
        #expect(writer.bytes.count == FrameHeader.size)
        let read = try writer.bytes.withRawSpan { try FrameHeader($0, at: 0) }
        #expect(read == header)
    }

    @Test("a route of 17 proxies, or one proxy twice, is refused")
    func routes() throws {
        var open = try Samples.open()
        open.route = [Samples.gateway, Samples.gateway]
        let twice = Samples.written(open.encode)
        #expect(throws: WireError.invalid(.route)) {
            try twice.withRawSpan { (bytes) in try Open.decode(bytes) }
        }
        var writer = FrameWriter()
        writer.uint8(17)
        let tooLong = writer.bytes
        #expect(throws: WireError.tooLong(field: .route, count: 17, limit: 16)) {
            try tooLong.withRawSpan { (bytes) throws(WireError) in
                var reader = FrameReader()
                _ = try reader.route(bytes)
            }
        }
    }

    @Test("a table of 3,000 services fits into frames, in order, with one start and one end")
    func tableFragments() throws {
        let services = try (0..<3_000).map { number in
            SidecarService(
                service: try Samples.service("service-\(number)/http"),
                timeouts: ServiceTimeouts(
                    connect: .seconds(3),
                    idle: .seconds(3_600),
                    halfClosed: .seconds(300)
                ),
                targets: [
                    SidecarTarget(Samples.target(Samples.west, cost: 1), routes: [[Samples.other]])
                ]
            )
        }
        let table = SidecarTable(generation: 1, replacesAll: true, services: services)
        let fragments = table.fragments()
        // A service may go on in the next frame.
        var joined: [SidecarService] = []
        for service in fragments.flatMap(\.services) {
            if joined.last?.service == service.service {
                joined[joined.count - 1].targets += service.targets
            } else {
                joined.append(service)
            }
        }
        let isSame = joined == services
        #expect(isSame)
        #expect(fragments.map(\.replacesAll) == [true] + fragments.dropFirst().map { _ in false })
        #expect(fragments.map(\.isLast) == fragments.dropLast().map { _ in false } + [true])
        for fragment in fragments {
            #expect(Samples.written(fragment.encode).count <= FrameHeader.maximumPayload)
        }
    }

    @Test("one service with 2,000 targets of many long routes goes on over frames")
    func serviceFragments() throws {
        let route = (1...16).map { ProxyID(site: Samples.west, instance: $0) }
        let targets = (0..<2_000).map { number in
            let site = SiteID(publicKeyDigest: Array(repeating: UInt8(number % 251), count: 32))
            return SidecarTarget(
                Samples.target(site, cost: UInt32(number)),
                routes: Array(repeating: route, count: 8)
            )
        }
        let service = SidecarService(
            service: try Samples.service("web/http"),
            timeouts: ServiceTimeouts(
                connect: .seconds(3),
                idle: .seconds(60),
                halfClosed: .seconds(5)
            ),
            targets: targets
        )
        let table = SidecarTable(generation: 9, replacesAll: true, services: [service])
        let read = try table.fragments().map { fragment in
            #expect(fragment.encoded.count <= FrameHeader.maximumPayload)
            return try fragment.encoded.withRawSpan { try SidecarTable.decode($0) }
        }
        #expect(read.allSatisfy { $0.services.count == 1 && $0.generation == 9 })
        let isSame = read.flatMap(\.services).flatMap(\.targets) == targets
        #expect(isSame)
    }

    @Test("more routes than the limit are not told, and not taken")
    func routesPerTarget() throws {
        let target = SidecarTarget(
            Samples.target(Samples.west, cost: 1),
            routes: Array(repeating: [Samples.other], count: 300)
        )
        let service = SidecarService(
            service: try Samples.service("web/http"),
            timeouts: ServiceTimeouts(
                connect: .seconds(3),
                idle: .seconds(60),
                halfClosed: .seconds(5)
            ),
            targets: [target]
        )
        let table = SidecarTable(generation: 1, replacesAll: true, services: [service])
        let read = try table.encoded.withRawSpan { try SidecarTable.decode($0) }
        #expect(read.services[0].targets[0].routes.count == WireLimit.routesPerTarget)
    }

    @Test("a count above the limit is written as the limit, and refused when read")
    func counters() throws {
        let entry = Counts.Entry(
            service: try Samples.service("web/http"),
            target: Samples.west,
            open: .max
        )
        let counts = Counts(
            origin: Samples.gateway,
            version: 1,
            extent: .changes,
            entries: [entry]
        )
        let bytes = counts.encoded
        let read = try bytes.withRawSpan { try Counts.decode($0) }
        #expect(read.entries.map(\.open) == [.counterLimit])
        var tooMany = bytes
        tooMany[tooMany.count - 1] = 1
        #expect(throws: WireError.invalid(.counter)) {
            try tooMany.withRawSpan { (bytes) in try Counts.decode(bytes) }
        }
        let report = SidecarReport(counters: [
            SidecarReport.Counter(
                service: entry.service,
                active: 0,
                opened: 0,
                failed: 0,
                interrupted: 0
            )
        ])
        for field in 0..<4 {
            var bytes = Samples.written { report.encode(into: &$0, at: Samples.now) }
            // Behind the counters follow two bytes: no failovers.
            let start = bytes.count - 2 - 8 * (field + 1)
            bytes[start] = 0xFF
            #expect(throws: WireError.invalid(.counter)) {
                try bytes.withRawSpan { (span) in try SidecarReport.decode(span, at: Samples.now) }
            }
        }
    }

    @Test("text of others cannot forge a line of a log")
    func printable() throws {
        let closing = LaneClosing(.other, "gone\n2026 error: forged\u{1B}[2J\u{202E}x\u{85}")
        let read = try closing.encoded.withRawSpan { try LaneClosing.decode($0) }
        #expect(read.explanation == "gone?2026 error: forged?[2J?x?")
        let name = SidecarTable(
            generation: 1,
            replacesAll: true,
            names: [SidecarSiteName(site: Samples.west, name: "öst\r\nnow \u{1F600}")]
        )
        let table = try name.encoded.withRawSpan { try SidecarTable.decode($0) }
        #expect(table.names.map(\.name) == ["öst??now \u{1F600}"])
    }

    @Test("10,000 counts fit into frames")
    func countFragments() throws {
        let entries = try (0..<10_000).map {
            Counts.Entry(
                service: try Samples.service("service-\($0)/http"),
                target: Samples.west,
                open: 1
            )
        }
        let counts = Counts(origin: Samples.gateway, version: 5, extent: .anew, entries: entries)
        let read = try counts.fragments().map { fragment in
            #expect(fragment.encoded.count <= FrameHeader.maximumPayload)
            return try fragment.encoded.withRawSpan { try Counts.decode($0) }
        }
        let isSame = read.flatMap(\.entries) == entries
        #expect(isSame)
        #expect(read.map(\.extent) == [.anew] + read.dropFirst().map { _ in .changes })
        #expect(read.map(\.version) == Array(5..<5 + UInt64(read.count)))
    }

    @Test("the signed bytes of an LSA are those before its signature")
    func signedBytes() throws {
        let lsa = try Samples.lsa()
        let body = LSACodec.encodeBody(lsa)
        let sealed = LSACodec.seal(body: body, signature: [1, 2, 3])
        let decoded = try sealed.withRawSpan { try LSACodec.decode($0) }
        #expect(decoded.lsa == lsa)
        #expect(Array(sealed[..<decoded.bodyLength]) == body)
        #expect(decoded.signature == [1, 2, 3])
        #expect(try sealed.withRawSpan { try LSACodec.header($0) } == lsa.header)
    }

    @Test("edges or services out of order are refused")
    func order() throws {
        var lsa = try Samples.lsa()
        lsa.edges.reverse()
        let sealed = LSACodec.seal(body: LSACodec.encodeBody(lsa), signature: [])
        #expect(throws: WireError.invalid(.list)) {
            _ = try sealed.withRawSpan { (bytes) throws(WireError) in try LSACodec.decode(bytes) }
        }
    }
}
