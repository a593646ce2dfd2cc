import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI

extension SiteReconciler {
    /// The disruption budget of the gateways.
    ///
    /// The Site works without: while budgets cannot be read, which `Informed` tells, none is made or removed, and one of that
    /// name that is somebody else's takes its place. Rights to read them without those to write them only make a line of the log.
    func keepBudget(
        _ site: Site,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) -> ReconcileResult {
        let namespace = site.metadata.namespace ?? ""
        guard shared.world.budgets.hasSynced else { return .done }
        let found = shared.world.budgets(in: namespace)
        let wanted = GatewayBudget.make(site: site, settings: shared.settings, beside: found)
        let observed = found.map(Child.disruptionBudget)
        var plan = ChildrenPlan(
            wanted: wanted.map { [$0] } ?? [],
            observed: observed,
            settled: shared.settled,
            isThere: shared.isThere
        )
        let own = observed.filter { $0.object.metadata.controller?.uid == site.metadata.uid }
        plan.prune(own, wanted: wanted.map { [$0] } ?? [])
        leftovers += plan.leftovers
        do {
            try await shared.writer.carryOut(
                plan.writes,
                of: site,
                hadChildren: site.status.siteID != nil
            )
        } catch {
            guard error.isForbidden else { throw error }
            shared.logger.warning("cannot keep the disruption budget of \(site.key): \(error)")
            return .again(after: Self.freshness)
        }
        return plan.waits.isEmpty ? .done : .again(after: Shared.leavingRetry)
    }
}
