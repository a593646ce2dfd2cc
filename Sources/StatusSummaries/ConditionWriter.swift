package import KubernetesAPI
package import NetworkAPI

/// Builds the conditions of one object from what is found out about it.
///
/// Starts from the conditions that are stored, so that a transition keeps its time.
package struct ConditionWriter {
    /// Of a condition, in bytes; the API server refuses a status with a longer one.
    private static let longestMessage = 32_768

    package private(set) var conditions: [Condition]
    private let generation: Int64?
    private let now: Timestamp

    package init(of object: some NetworkObject, at now: Timestamp) {
        conditions = object.status.conditions.ours
        generation = object.metadata.generation
        self.now = now
    }

    package mutating func set(
        _ type: ConditionType,
        _ status: Condition.Status,
        _ reason: Reason,
        _ message: String = ""
    ) {
        conditions.set(
            type.rawValue,
            status,
            reason: reason.rawValue,
            message: message.cut(toBytes: Self.longestMessage),
            observedGeneration: generation,
            at: now
        )
    }

    package mutating func remove(_ type: ConditionType) { conditions.remove(type.rawValue) }

    /// Sets `Ready` from the conditions it rests on, and beside it `Stalled` or `Reconciling` while they hold.
    ///
    /// `parts` come in the order of their weight: the first that is not True is Ready's reason. `stalls` are the reasons
    /// that last until somebody changes something.
    package mutating func summarise(
        _ parts: [ConditionType],
        stalls: Set<Reason>,
        readyMessage: String = ""
    ) {
        let failing = parts.lazy.compactMap { [conditions] in conditions[type: $0.rawValue] }
            .first { $0.status != .yes }
        guard let failing, let reason = Reason(rawValue: failing.reason) else {
            set(.ready, .yes, .ready, readyMessage)
            remove(.stalled)
            remove(.reconciling)
            order()
            return
        }
        set(.ready, .no, reason, failing.message)
        if stalls.contains(reason) {
            set(.stalled, .yes, reason, failing.message)
            remove(.reconciling)
        } else {
            set(.reconciling, .yes, reason, failing.message)
            remove(.stalled)
        }
        order()
    }

    /// A fixed order, so that equal findings give equal statuses.
    private mutating func order() {
        let ranks = ConditionType.allCases.map(\.rawValue)
        conditions.sort { left, right in
            (ranks.firstIndex(of: left.type) ?? .max, left.type)
                < (ranks.firstIndex(of: right.type) ?? .max, right.type)
        }
    }
}

extension [Condition] {
    /// Those of our types: others may add conditions of their own, which are theirs to keep.
    package var ours: [Condition] { filter { ConditionType(rawValue: $0.type) != nil } }
}
