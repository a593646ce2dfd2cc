import Foundation
import Glibc

/// A test API server of a test's own, which it may stop and start.
package final class OwnAPIServer: Sendable {
    private let state: String
    private let flags: [String]

    package var kubeconfig: String { state + "/kubeconfig" }

    /// Starts a new one.
    package init(flags: [String] = []) async throws {
        state = NSTemporaryDirectory() + "/" + TestAPIServer.uniqueName("tieline-apiserver")
        self.flags = flags
        try await start()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(atPath: state)
    }

    /// Starts the server and waits until it is ready; state, keys and port are those of before.
    package func start() async throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let words = [root.path() + "/hack/apiserver/run.sh", state] + flags
        // On a thread of its own: a few blocked tests would block all others.
        let status = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let command = words.map { "'\($0)'" }.joined(separator: " ")
                continuation.resume(returning: unsafe system(command + " > /dev/null"))
            }
        }
        guard status == 0 else { throw POSIXError(.ECHILD) }
    }

    /// Ends the server at once, as a crash would, and its etcd with it.
    package func kill() {
        for name in ["pid", "etcd.pid"] {
            guard let text = try? String(contentsOfFile: "\(state)/\(name)", encoding: .utf8),
                let pid = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)), pid > 1
            else { continue }
            Glibc.kill(pid, SIGKILL)
            // Gone, or a zombie that nobody collects: both hold no port and no file any more.
            while let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
                !status.contains(") Z ")
            {
                Thread.sleep(forTimeInterval: 0.01)
            }
        }
    }
}
