import KubernetesAPI
import NetworkAPI
import StatusSummaries
import TestSupport

/// What a GitOps tool makes of a status: kstatus's rules for custom resources, in its order.
enum Verdict: Equatable {
    case inProgress, failed, current

    init<Status: NetworkStatus>(_ status: Status, generation: Int64?) {
        let conditions = status.conditions
        if let observed = status.observedGeneration, observed != generation {
            self = .inProgress
        } else if conditions.isTrue("Reconciling") {
            self = .inProgress
        } else if conditions.isTrue("Stalled") {
            self = .failed
        } else if let ready = conditions[type: "Ready"] {
            self = ready.status == .yes ? .current : .inProgress
        } else {
            self = .current
        }
    }
}

/// What Flux's condition checker asks of every status.
func keepsFluxRules(_ status: some NetworkStatus, generation: Int64) -> Bool {
    let conditions = status.conditions
    guard let ready = conditions[type: "Ready"] else { return false }
    let isReconciling = conditions.isTrue("Reconciling")
    let isStalled = conditions.isTrue("Stalled")
    guard !(isReconciling && isStalled) else { return false }
    guard ready.status != .yes || !(isReconciling || isStalled) else { return false }
    guard ready.status != .unknown || isReconciling else { return false }
    return (status.observedGeneration ?? 0) <= generation
        && conditions.allSatisfy { ($0.observedGeneration ?? 0) <= generation }
        && (ready.observedGeneration ?? 0) == (status.observedGeneration ?? 0)
}

/// One object's way from a stored generation over its compilation to the gateways, at random.
struct History {
    var generation: Int64 = 1
    var compiled: Int64 = 0
    var applied: Int64 = 0
    /// The generation whose first lane is up, or has failed.
    var dialed: Int64 = 0
    /// Whether each generation asks for something that only its author can mend.
    var isWrong: [Int64: Bool]
    var generator: SeededGenerator

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        isWrong = [1: Bool.random(using: &generator)]
    }

    mutating func step() {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
            generation += 1
            isWrong[generation] = Bool.random(using: &generator)
        case 1, 2: compiled = generation
        case 3, 4: applied = compiled
        case 5, 6: dialed = applied
        default: break
        }
    }

    var isCompiled: Bool { compiled == generation }
    var isApplied: Bool { applied == generation }
    var isDialing: Bool { dialed != applied }
    /// What the gateways work with, whichever generation that is.
    var seesWrong: Bool { isWrong[applied] ?? false }
    var isNowWrong: Bool { isWrong[generation] ?? false }
}
