import Foundation
import FuzzTargets
import Testing

/// What fuzzers found worth keeping (`hack/fuzz.sh`) is thrown at each target again.
@Suite("Inputs of fuzzers", .timeLimit(.minutes(2)))
struct ReplayTests {
    private static let corpus = URL(filePath: #filePath)
        .deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "FuzzCorpus")

    @Test("nothing of the corpus ends the process", arguments: FuzzTarget.allCases)
    func replay(_ target: FuzzTarget) throws {
        let folder = Self.corpus.appending(path: target.rawValue)
        let files = try FileManager.default.contentsOfDirectory(
            at: folder,
            includingPropertiesForKeys: nil
        )
        #expect(!files.isEmpty)
        for file in files { target.run([UInt8](try Data(contentsOf: file))) }
    }

    @Test("nor does anything near it", arguments: FuzzTarget.allCases)
    func truncated(_ target: FuzzTarget) throws {
        let folder = Self.corpus.appending(path: target.rawValue)
        let files = try FileManager.default.contentsOfDirectory(
            at: folder,
            includingPropertiesForKeys: nil
        )
        for file in files.prefix(40) {
            let bytes = [UInt8](try Data(contentsOf: file))
            for count in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 20)) {
                target.run(Array(bytes[..<count]))
            }
        }
    }
}
