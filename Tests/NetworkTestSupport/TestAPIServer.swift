import Foundation

/// The API server that `hack/test.sh` starts for the tests.
package enum TestAPIServer {
    /// The path of its kubeconfig; tests that need it are skipped without.
    package static let kubeconfig = ProcessInfo.processInfo.environment["TIELINE_TEST_KUBECONFIG"]

    package static var isThere: Bool { kubeconfig != nil }

    /// What a skipped test says.
    package static let absence =
        "needs a test API server: TIELINE_TEST_KUBECONFIG names no kubeconfig (hack/test.sh sets it)"

    /// A name that no other run uses.
    package static func uniqueName(_ prefix: String) -> String {
        let suffix = String(UInt64.random(in: 0..<(1 << 40)), radix: 36)
        return "\(prefix)-\(suffix)"
    }
}
