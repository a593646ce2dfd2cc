import Foundation
import TestSupport
import Testing
import Wire

/// Frames as a version wrote them: proxies of two versions talk to each other during an upgrade.
@Suite("Frames of earlier versions")
struct GoldenFrameTests {
    /// One line of `Tests/Golden/frames.txt`.
    struct Line: Sendable, CustomStringConvertible {
        /// The sample that it is an encoding of.
        let name: String
        let bytes: [UInt8]

        var description: String { name }

        init?(_ text: String) {
            let parts = text.split(separator: ":", maxSplits: 1).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard parts.count == 2, let bytes = Self.bytes(parts[1]) else { return nil }
            name = parts[0]
            self.bytes = bytes
        }

        private static func bytes(_ hex: String) -> [UInt8]? {
            let digits = Array(hex)
            guard digits.count.isMultiple(of: 2) else { return nil }
            let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(digits[$0..<$0 + 2]), radix: 16)
            }
            return bytes.count == digits.count / 2 ? bytes : nil
        }
    }

    private static func lines() throws -> [Line] {
        try Golden.lines("frames.txt").map { try #require(Line($0), "\($0)") }
    }

    private static func name(_ sample: Sample) -> String {
        sample.description.trimmingCharacters(in: .whitespaces)
    }

    @Test("every one of them can be read", arguments: try lines())
    func readable(_ line: Line) throws {
        let sample = try #require(
            try Samples.all().first { Self.name($0) == line.name },
            "there is no sample \(line.name) any more: an earlier version still sends it"
        )
        _ = try sample.again(line.bytes)
    }

    @Test("what is written today is the last that was written down", arguments: try Samples.all())
    func unchanged(_ sample: Sample) throws {
        let name = Self.name(sample)
        let last = try #require(
            try Self.lines().last { $0.name == name },
            "add a line to Tests/Golden/frames.txt: \(name): \(hex(sample.bytes))"
        )
        #expect(
            last.bytes == sample.bytes,
            "an added field needs a line behind the former one: \(name): \(hex(sample.bytes))"
        )
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test("a reason of a later version ends nothing")
    func laterReasons() throws {
        func replaced(_ sample: Sample) -> [UInt8] {
            // As long as the one it takes the place of.
            replace(Array("LinkLost".utf8), with: Array("SunStorm".utf8), in: sample.bytes)
        }
        let samples = try Samples.adjacency().filter { $0.type == .table || $0.type == .report }
        #expect(samples.count == 4)
        for sample in samples {
            let changed = replaced(sample)
            #expect(changed != sample.bytes)
            let again = try sample.again(changed)
            #expect(again == (try sample.again(again)))
        }
    }

    private func replace(_ old: [UInt8], with new: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        guard let range = bytes.firstRange(of: old) else { return bytes }
        return bytes[..<range.lowerBound] + new + bytes[range.upperBound...]
    }
}
