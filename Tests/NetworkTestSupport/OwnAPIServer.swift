import Foundation
import Glibc
import HTTPTransport

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

    /// Makes etcd forget all states before the present one.
    package func compact() async throws {
        struct Answer: Decodable {
            struct Header: Decodable { let revision: String }
            let header: Header
        }
        let range = try await askEtcd("range", #"{"key":"AA=="}"#)
        let revision = try JSONDecoder().decode(Answer.self, from: range).header.revision
        _ = try await askEtcd("compaction", #"{"revision":"\#(revision)","physical":true}"#)
    }

    private func askEtcd(_ call: String, _ body: String) async throws -> Data {
        let url = try String(contentsOfFile: state + "/etcd.url", encoding: .utf8)
        var request = HTTPRequest(
            method: "POST",
            url: url.trimmingCharacters(in: .whitespacesAndNewlines) + "/v3/kv/" + call
        )
        request.body = Data(body.utf8)
        let response = try await HTTPTransport().send(request)
        guard response.isSuccess else { throw POSIXError(.EPROTO) }
        return response.body
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
