import KubernetesAPI
import NetworkAPI
import NetworkModel
import StatusSummaries

extension Selection {
    /// A cluster makes EndpointSlices at once; whether they take over labels shows by then.
    private static let patience: Duration = .seconds(10)

    /// The same for equal selectors.
    static func digest(_ selector: [String: String]) -> String {
        StableHash.hex32(
            selector.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(
                separator: ","
            )
        )
    }

    /// How far `selector` has got: into the core Service that selects the pods, and into its EndpointSlices.
    init(
        of selector: [String: String],
        core: Core.Service?,
        slices: [Discovery.EndpointSlice],
        at now: Timestamp
    ) {
        guard let core, core.spec.selector == selector else {
            self = .pending
            return
        }
        guard !slices.isEmpty else {
            let age = core.metadata.creationTimestamp.map { now - $0 } ?? .zero
            self = age < Self.patience ? .pending : .unknown
            return
        }
        let digest = Self.digest(selector)
        guard slices.allSatisfy({ $0.metadata.labels[Names.selectorLabel] == digest }) else {
            self = .pending
            return
        }
        self = .inForce(
            hasReadyPods: slices.contains { $0.endpoints.contains { $0.conditions.ready ?? true } }
        )
    }
}
