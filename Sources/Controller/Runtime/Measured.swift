import KubernetesRuntime
import NetworkModel
import Telemetry

/// Counts what a reconciler does.
struct Measured<Work: Reconciler>: Reconciler {
    private let work: Work
    private let outcomes: [String: Counter]
    private let seconds: Histogram

    /// Every series is there from the start, at zero.
    init(_ work: Work, name: String, metrics: MetricsRegistry) {
        self.work = work
        var outcomes: [String: Counter] = [:]
        for outcome in ["done", "again", "retry"] {
            outcomes[outcome] = metrics.counter(
                "tieline_controller_reconcile_total",
                help: "Reconciles by controller and outcome.",
                labels: ["controller": name, "outcome": outcome]
            )
        }
        self.outcomes = outcomes
        seconds = metrics.histogram(
            "tieline_controller_reconcile_seconds",
            help: "How long reconciles take.",
            labels: ["controller": name]
        )
    }

    func reconcile(_ key: Work.Key) async throws(ReconcileError) -> ReconcileResult {
        let start = ContinuousClock.now
        defer {
            let time = (ContinuousClock.now - start).wholeNanoseconds
            seconds.observe(Double(time) / 1_000_000_000)
        }
        do {
            let result = try await work.reconcile(key)
            outcomes[result == .done ? "done" : "again"]?.add()
            return result
        } catch {
            outcomes["retry"]?.add()
            throw error
        }
    }
}

extension World {
    func addMetrics(
        to metrics: MetricsRegistry,
        queues: Queues,
        isLeading: @escaping @Sendable () -> Bool
    ) {
        metrics.addCollector { [self] writer in
            writer.gauge(
                "tieline_controller_leader",
                help: "1 while this process leads.",
                value: isLeading() ? 1 : 0
            )
            let depths = [
                ("site", queues.sites.count), ("link", queues.links.count),
                ("service", queues.services.count),
            ]
            for (name, depth) in depths {
                writer.gauge(
                    "tieline_controller_queue_depth",
                    help: "Keys that wait to be worked on.",
                    ["controller": name],
                    value: Double(depth)
                )
            }
            for (kind, counts) in statistics {
                writer.counter(
                    "tieline_controller_lists_total",
                    help:
                        "Whole lists taken from the API server; more than one: a watch lost its place.",
                    ["kind": kind],
                    value: Double(counts.lists)
                )
                writer.counter(
                    "tieline_controller_undecodable_total",
                    help: "Objects that this version does not understand.",
                    ["kind": kind],
                    value: Double(counts.undecodable)
                )
            }
        }
    }

    private var statistics: [(String, InformerCounts)] {
        [
            ("Site", sites.statistics), ("Link", links.statistics),
            ("Service", services.statistics),
            ("Namespace", namespaces.statistics), ("core/Service", coreServices.statistics),
            ("Deployment", deployments.statistics), ("EndpointSlice", slices.statistics),
            ("ServiceAccount", accounts.statistics), ("RoleBinding", bindings.statistics),
            ("Pod", pods.statistics),
        ]
    }
}
