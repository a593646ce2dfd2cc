import DevnodeCore
import KubernetesAPI
import KubernetesClient
import Logging
import NetworkModel
import Telemetry

/// Writes the status of one pod: always the newest, for as long as it takes.
actor StatusReporter {
    private let pod: Core.Pod
    private let client: KubernetesClient
    private let logger: Logger
    private var summary: PodSummary?
    private var reported: Core.PodStatus
    private var writer: Task<Void, Never>?
    private var isGone = false
    private var newest = 0

    init(pod: Core.Pod, client: KubernetesClient, logger: Logger) {
        self.pod = pod
        self.client = client
        self.logger = logger
        reported = pod.status
    }

    /// Takes a newer state; one that comes late is dropped.
    func report(_ summary: PodSummary, revision: Int) {
        guard revision > newest else { return }
        newest = revision
        self.summary = summary
        if writer == nil { writer = Task { await self.write() } }
    }

    /// Takes the object out of the API server once the last status is written.
    func remove() async {
        await writer?.value
        let options = DeleteOptions(
            preconditions: Preconditions(uid: pod.metadata.uid),
            gracePeriodSeconds: 0
        )
        var wait = Duration.milliseconds(100)
        while !isGone {
            do throws(APIError) {
                try await client.delete(Core.Pod.self, pod.key, options: options)
                isGone = true
            } catch {
                // A conflict means another pod of that name: ours is gone.
                if error.isNotFound || error.isConflict { isGone = true }
            }
            if !isGone {
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(2))
            }
        }
    }

    private func write() async {
        var wait = Duration.milliseconds(100)
        while let next = summary, !isGone {
            summary = nil
            let status = next.status(after: reported.conditions, at: .now())
            if status == reported { continue }
            do throws(APIError) {
                try await send(status)
                reported = status
                wait = .milliseconds(100)
            } catch {
                if error.isNotFound || error.isConflict {
                    isGone = true
                } else {
                    logger.debug("\(pod.key): status not written: \(error)")
                    summary = summary ?? next
                    try? await Task.sleep(for: wait)
                    wait = min(wait * 2, .seconds(2))
                }
            }
        }
        writer = nil
    }

    private func send(_ status: Core.PodStatus) async throws(APIError) {
        let document: JSONValue
        do {
            document = try JSONValue(encoding: status)
        } catch {
            throw .request("the status does not encode: \(error)")
        }
        // The UID guards against writing into a younger pod of the same name.
        let body: JSONValue = [
            "metadata": ["uid": .string(pod.metadata.uid ?? "")], "status": document,
        ]
        _ = try await client.patch(
            Core.Pod.self,
            pod.key,
            .merge(body),
            subresource: "status"
        )
    }
}
