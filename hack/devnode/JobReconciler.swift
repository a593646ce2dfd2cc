import DevnodeCore
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkModel
import Telemetry

/// Makes the Pods of Jobs, and tells when they have done their work.
struct JobReconciler: Reconciler {
    let client: KubernetesClient
    let jobs: Store<Job>
    let pods: Store<Core.Pod>

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        guard let job = jobs.get(key), !job.metadata.isTerminating, !job.hasEnded else {
            return .done
        }
        let phases = pods.list(in: key.namespace ?? "")
            .filter { $0.metadata.controller?.uid == job.metadata.uid }
            .map { $0.status.phase ?? "Pending" }
        let step = job.step(phases, at: Timestamp(seconds: Timestamp.now().seconds))
        do throws(APIError) {
            for number in step.create { try await createPod(number, of: job) }
            guard step.status != job.status else { return .done }
            let document: JSONValue
            do {
                document = try JSONValue(encoding: step.status)
            } catch {
                throw .request("the status does not encode: \(error)")
            }
            _ = try await client.patch(
                Job.self,
                key,
                .merge(["status": document]),
                subresource: "status"
            )
            return .done
        } catch {
            throw .retry("\(key): \(error)")
        }
    }

    /// Its name is its number: a store that lags behind makes none twice.
    private func createPod(_ number: Int, of job: Job) async throws(APIError) {
        let pod = PodFromTemplate(
            job.spec.template,
            of: job,
            name: "\(job.metadata.name)-\(number)",
            node: NodeOptions.nodeName
        )
        do throws(APIError) {
            _ = try await client.create(pod)
        } catch {
            guard error.isAlreadyExists else { throw error }
        }
    }
}
