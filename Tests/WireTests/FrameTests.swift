import NetworkModel
import Routing
import Testing
import Wire

@Suite("Frames")
struct FrameTests {
    @Test("every frame is what it says after a round trip", arguments: try Samples.all())
    func roundTrip(_ sample: Sample) throws {
        #expect(try sample.again(sample.bytes) == sample.bytes)
    }

    @Test("a frame cut anywhere is an error", arguments: try Samples.all())
    func truncated(_ sample: Sample) {
        for length in 0..<sample.bytes.count {
            #expect(throws: WireError.self, "\(length) bytes") {
                try sample.again(Array(sample.bytes[..<length]))
            }
        }
    }

    @Test("a frame with bytes behind it is an error", arguments: try Samples.all())
    func trailing(_ sample: Sample) throws {
        if sample.growsAtTheEnd {
            #expect(try sample.again(sample.bytes + [0]) == sample.bytes)
        } else {
            #expect(throws: WireError.self) { try sample.again(sample.bytes + [0]) }
        }
    }

    @Test("changed bytes give a frame or an error, nothing else", arguments: try Samples.all())
    func mutated(_ sample: Sample) {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(state: seed)
        for _ in 0..<500 {
            var bytes = sample.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                guard let index = bytes.indices.randomElement(using: &random) else { continue }
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            // What decodes has one encoding: the bytes it came from, save for unknown reasons.
            guard let again = try? sample.again(bytes) else { continue }
            #expect(again.count == bytes.count || sample.growsAtTheEnd, "seed \(seed)")
        }
    }

    @Test("an unknown type below 128 is fatal, from 128 on ignored")
    func unknownTypes() throws {
        #expect(throws: WireError.unknownFrame(type: 127)) { try FrameType.known(127) }
        #expect(try FrameType.known(128) == nil)
        #expect(try FrameType.known(20) == .data)
    }

    @Test("a header keeps a 24-bit length, a type and a label")
    func header() throws {
        var writer = FrameWriter()
        let header = FrameHeader(length: 66_560, type: 20, label: 0xDEAD_BEEF)
        writer.uint32(header.firstWord)
        writer.uint32(header.label)
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

    @Test(
        "the bytes under a MAC change with every field that no hop may change, and not with the window"
    )
    func authenticated() throws {
        let open = try Samples.open()
        let base = open.authenticated(signer: Samples.gateway)
        var changed: [Open] = []
        var copy = open
        copy.name.number += 1
        changed.append(copy)
        copy = open
        copy.epoch = 1
        changed.append(copy)
        copy = open
        copy.service = try Samples.service("backend.example/https")
        changed.append(copy)
        copy = open
        copy.route.removeLast()
        changed.append(copy)
        copy = open
        copy.target = Samples.east
        changed.append(copy)
        copy = open
        copy.client = Endpoint(address: .v6(1, 2), port: 50_001)
        changed.append(copy)
        for open in changed { #expect(open.authenticated(signer: Samples.gateway) != base) }
        #expect(open.authenticated(signer: Samples.other) != base)
        copy = open
        copy.window = 1
        #expect(copy.authenticated(signer: Samples.gateway) == base)
    }

    @Test("a table of 3,000 services fits into frames, in order, with one start and one end")
    func tableFragments() throws {
        let services = try (0..<3_000).map { number in
            EdgeService(
                service: try Samples.service("service-\(number)/http"),
                connect: .seconds(3),
                idle: .seconds(3_600),
                halfClosed: .seconds(300),
                targets: [
                    EdgeTarget(
                        site: Samples.west,
                        cost: PathCost(1),
                        weight: 1,
                        routes: [[Samples.other]]
                    )
                ]
            )
        }
        let table = EdgeTable(generation: 1, replacesAll: true, services: services)
        let fragments = table.fragments()
        #expect(fragments.flatMap(\.services) == services)
        #expect(fragments.map(\.replacesAll) == [true] + fragments.dropFirst().map { _ in false })
        #expect(fragments.map(\.isLast) == fragments.dropLast().map { _ in false } + [true])
        for fragment in fragments {
            #expect(Samples.written(fragment.encode).count <= FrameHeader.maximumPayload)
        }
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
        let counts = Counts(origin: Samples.gateway, version: 1, isFull: true, entries: entries)
        var next = 0
        var read: [Counts.Entry] = []
        while next < entries.count {
            var writer = FrameWriter()
            next = counts.encode(into: &writer, from: next)
            #expect(writer.bytes.count <= FrameHeader.maximumPayload)
            read += try writer.bytes.withRawSpan { try Counts.decode($0) }.entries
        }
        #expect(read == entries)
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

/// Reproducible randomness.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
