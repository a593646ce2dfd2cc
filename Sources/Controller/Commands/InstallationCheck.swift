import KubernetesAPI
import KubernetesClient
import Logging
import NetworkAPI

/// Whether an installation works: its kinds are served, its controllers are there, and one of them leads.
package struct InstallationCheck: Sendable {
    private let place: ClusterPlace
    private let patience: Duration

    /// A controller that has just been started needs some seconds.
    package init(_ place: ClusterPlace, patience: Duration) {
        self.place = place
        self.patience = patience
    }

    @concurrent
    package func run() async throws {
        let deadline = ContinuousClock.now + patience
        var failures = 0
        for (name, check) in [
            ("Site, Link and Service are served", kinds),
            ("the controllers are ready", controllers),
            ("a controller leads", leader),
        ] as [(String, () async -> String?)] {
            var problem = await check()
            while problem != nil, ContinuousClock.now < deadline {
                try await Task.sleep(for: .seconds(1))
                problem = await check()
            }
            if let problem {
                failures += 1
                place.logger.error("FAILED: \(name): \(problem)")
            } else {
                place.logger.notice("ok: \(name)")
            }
        }
        guard failures == 0 else {
            throw CommandFailed("\(failures) of 3 checks failed: the installation does not work")
        }
    }

    private func kinds() async -> String? {
        do {
            _ = try await place.client.list(Site.self, options: ListOptions(limit: 1))
            _ = try await place.client.list(Link.self, options: ListOptions(limit: 1))
            _ = try await place.client.list(Service.self, options: ListOptions(limit: 1))
            return nil
        } catch { return "\(error)" }
    }

    private func controllers() async -> String? {
        do {
            let found = try await place.client.get(Apps.Deployment.self, place.controllers)
            let (ready, wanted) = (found.status.readyReplicas ?? 0, found.spec.replicas ?? 1)
            if wanted == 0 { return "the Deployment \(place.controllers) has 0 replicas" }
            return ready > 0 ? nil : "0 of \(wanted) are ready; see kubectl describe pods"
        } catch { return "\(error)" }
    }

    /// Clocks may differ: a leader is seen by its renewing, every two seconds.
    private func leader() async -> String? {
        do {
            let before = try await lease()
            guard before.renewTime != nil, before.holderIdentity?.isEmpty == false else {
                return "nobody holds the Lease \(place.controllers)"
            }
            for _ in 0..<10 {
                try? await Task.sleep(for: .seconds(1))
                let now = try await lease()
                if now.renewTime != before.renewTime { return nil }
            }
            return "\(before.holderIdentity ?? "") holds the Lease and does not renew it"
        } catch { return "\(error)" }
    }

    private func lease() async throws(APIError) -> Coordination.LeaseSpec {
        try await place.client.get(Coordination.Lease.self, place.controllers).spec
    }
}
