import FoundationEssentials
import ManifestReading

/// The text of a file: objects, or problems that name a line of it.
func fuzzManifests(_ bytes: [UInt8]) {
    guard let text = try? ManifestText.decode(Data(bytes)) else { return }
    var manifests = Manifests()
    manifests.read(text, file: "fuzz.yaml")
    let lines = text.utf8.count { $0 == UInt8(ascii: "\n") } + 2
    for problem in manifests.problems {
        precondition((0...lines).contains(problem.line), "line \(problem.line) of \(lines)")
        precondition(!problem.message.isEmpty, "a problem without a word")
    }
}
