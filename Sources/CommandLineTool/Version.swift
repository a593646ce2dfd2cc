import ArgumentParser
import NetworkModel

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version of this program and of the API that it speaks."
    )

    func run() {
        print("tieline \(Build.version) (tieline.dev/v1alpha1)")
    }
}
