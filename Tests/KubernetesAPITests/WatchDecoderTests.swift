import FoundationEssentials
import KubernetesAPI
import TestSupport
import Testing

private typealias Decoder = WatchDecoder<Core.ConfigMap>
private typealias Event = WatchEvent<Core.ConfigMap>

private func line(_ type: String, _ object: String) -> String {
    "{\"type\":\"\(type)\",\"object\":\(object)}\n"
}

private func map(_ name: String, _ version: String, _ data: String = "{}") -> String {
    """
    {"kind":"ConfigMap","metadata":{"name":"\(name)","namespace":"n","resourceVersion":"\(version)"},\
    "data":\(data)}
    """
}

extension WatchDecoder {
    fileprivate mutating func decode(
        _ chunk: Data
    ) throws(WatchDecodingError) -> [WatchEvent<Object>] {
        var events: [WatchEvent<Object>] = []
        try decode(chunk, into: &events)
        return events
    }
}

@Suite("WatchDecoder")
struct WatchDecoderTests {
    private func decode(_ text: String) throws -> [Event] {
        var decoder = Decoder()
        return try decoder.decode(Data(text.utf8))
    }

    @Test("each type of event is recognized")
    func types() throws {
        let events = try decode(
            line("ADDED", map("a", "1")) + line("MODIFIED", map("a", "2"))
                + line("DELETED", map("a", "3"))
                + line("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"9\"}}")
                + line("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}")
        )
        try #require(events.count == 5)
        guard case .added(let added) = events[0], case .modified(let modified) = events[1],
            case .deleted(let deleted) = events[2], case .failed(let status) = events[4]
        else {
            Issue.record("wrong types: \(events)")
            return
        }
        #expect([added, modified, deleted].map(\.metadata.resourceVersion) == ["1", "2", "3"])
        #expect(events[3] == .bookmark(resourceVersion: "9", endsInitialEvents: false))
        #expect(status.isExpired)
    }

    @Test("the bookmark that ends the initial events is marked")
    func initialEventsEnd() throws {
        let annotated = """
            {"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}
            """
        #expect(
            try decode(line("BOOKMARK", annotated))
                == [.bookmark(resourceVersion: "7", endsInitialEvents: true)]
        )
    }

    @Test("bytes may be cut anywhere")
    func splits() throws {
        let text =
            line("ADDED", map("a", "1", "{\"k\":\"ä\\n\"}")) + line("MODIFIED", map("b", "2"))
        let bytes = Data(text.utf8)
        let whole = try decode(text)
        for cut in 0...bytes.count {
            var decoder = Decoder()
            let events =
                try decoder.decode(Data(bytes[..<cut])) + decoder.decode(Data(bytes[cut...]))
            #expect(events == whole, "cut at \(cut)")
        }
        var decoder = Decoder()
        #expect(try bytes.flatMap { try decoder.decode(Data([$0])) } == whole)
    }

    @Test("empty lines are passed over, also with carriage returns")
    func emptyLines() throws {
        #expect(try decode("\n\r\n  \n" + line("ADDED", map("a", "1"))).count == 1)
    }

    @Test(
        "a line that is no event is an error",
        arguments: [
            "garbage\n", "{}\n", "null\n", "[]\n", "{\"type\":\"ADDED\"}\n",
            line("RENAMED", map("a", "1")), line("ADDED", "{}"), line("ADDED", "17"),
            line("BOOKMARK", "{\"metadata\":{}}"), "{\"type\":\"ADDED\",\"object\":{\n", "\u{0}\n",
        ]
    )
    func malformed(text: String) {
        #expect {
            _ = try decode(text)
        } throws: { error in
            if case WatchDecodingError.malformed = error { true } else { false }
        }
    }

    @Test("a line longer than the bound is refused, ended or not")
    func lineBound() throws {
        let long = line("ADDED", map("a", "1", "{\"k\":\"\(String(repeating: "x", count: 500))\"}"))
        for text in [long, String(long.dropLast())] {
            var decoder = Decoder(lineLimit: 500)
            #expect(throws: WatchDecodingError.lineTooLong(limit: 500)) {
                for byte in text.utf8 { _ = try decoder.decode(Data([byte])) }
            }
        }
        var decoder = Decoder(lineLimit: 700)
        #expect(try decoder.decode(Data(long.utf8)).count == 1)
    }

    @Test("an object that does not decode is named, and the watch goes on")
    func undecodable() throws {
        let events = try decode(
            line("MODIFIED", map("bad", "5", "{\"k\":17}")) + line("DELETED", map("bad", "6", "[]"))
                + line("ADDED", map("good", "7"))
        )
        try #require(events.count == 3)
        guard case .undecodable(let first, isDeletion: false) = events[0],
            case .undecodable(let second, isDeletion: true) = events[1]
        else {
            Issue.record("not undecodable: \(events)")
            return
        }
        #expect(first.key == ObjectKey(namespace: "n", name: "bad"))
        #expect([first.metadata.resourceVersion, second.metadata.resourceVersion] == ["5", "6"])
        #expect(first.problem.contains("data"))
    }

    @Test("random bytes and random damage never do worse than an error", arguments: Seeds.some())
    func damage(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let sound = Array((line("ADDED", map("a", "1")) + line("DELETED", map("b", "2"))).utf8)
        for round in 0..<2000 {
            var bytes =
                round % 2 == 0
                ? sound : (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) }
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
                    in: 0...255,
                    using: &random
                )
            }
            var decoder = Decoder(lineLimit: 4096)
            for part in stride(from: 0, to: bytes.count, by: 17) {
                guard (try? decoder.decode(Data(bytes[part..<min(part + 17, bytes.count)]))) != nil
                else { break }
            }
        }
    }
}
