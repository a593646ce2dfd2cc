import ArgumentParser

/// The version of this build.
package enum Version {
    package static let text = "0.1.0"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version of this program and of the API that it speaks."
    )

    func run() {
        print("tieline \(Version.text) (tieline.dev/v1alpha1)")
    }
}
