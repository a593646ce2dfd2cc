package import KubernetesAPI
package import NetworkAPI
package import NetworkModel

/// Builds the conditions of one object from what is found out about it.
///
/// Starts from the conditions that are stored, so that a transition keeps its time.
package struct ConditionWriter {
    /// Of a condition, in bytes; the API server refuses a status with a longer one.
    private static let longestMessage = 32_768

    package private(set) var conditions: [Condition]
    /// The generation of the spec that the findings speak of.
    private let generation: Int64?
    private let now: Timestamp

    package init(of object: some NetworkObject, at now: Timestamp) {
        self.init(of: object, judging: object.metadata.generation, at: now)
    }

    private init(of object: some NetworkObject, judging generation: Int64?, at now: Timestamp) {
        conditions = object.status.conditions.ours
        self.generation = generation
        self.now = now
    }

    /// The conditions of an object of which nothing is known as it is now: it waits for a verdict.
    ///
    /// What was found out about an earlier generation stays, and goes on saying which one that was, except that nothing
    /// is Ready or Stalled for it any more.
    package static func awaitingVerdict(
        on object: some NetworkObject,
        observedGeneration: Int64?,
        message: String,
        at now: Timestamp
    ) -> [Condition] {
        var writer = ConditionWriter(of: object, judging: observedGeneration, at: now)
        writer.summarize([Check(status: .no, reason: .progressing, message: message)], stalls: [])
        return writer.conditions
    }

    /// Whether what is stored as `type` was found out about another generation, or never.
    package func isOfAnotherGeneration(_ type: ConditionType) -> Bool {
        guard let stored = conditions[type: type.rawValue] else { return true }
        return stored.observedGeneration != generation
            || stored.reason == Reason.progressing.rawValue
    }

    /// Whether `type` is stored as true of this generation.
    package func holds(_ type: ConditionType) -> Bool {
        conditions.isTrue(type.rawValue) && !isOfAnotherGeneration(type)
    }

    /// Sets a condition that rests on what proxies see, while they work with an earlier generation: what was found out
    /// about that one stays as it is, and goes on saying which one that was.
    package mutating func keepUntilApplied(_ type: ConditionType) {
        guard conditions[type: type.rawValue] == nil else { return }
        set(type, .unknown, .progressing, Self.awaitingProxies)
    }

    package static let awaitingProxies = "waiting for the gateways to apply the configuration"

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

    /// One thing that Ready rests on.
    package struct Check {
        package var status: Condition.Status
        package var reason: Reason
        package var message: String

        package init(status: Condition.Status, reason: Reason, message: String) {
            self.status = status
            self.reason = reason
            self.message = message
        }
    }

    /// A condition as something that Ready rests on; nil when it is not there.
    package func check(_ type: ConditionType) -> Check? {
        guard let found = conditions[type: type.rawValue],
            let reason = Reason(rawValue: found.reason)
        else { return nil }
        return Check(status: found.status, reason: reason, message: found.message)
    }

    /// As below, with the conditions of these types as checks.
    package mutating func summarize(_ parts: [ConditionType], stalls: Set<Reason>) {
        summarize(parts.compactMap(check), stalls: stalls)
    }

    /// Sets `Ready` from what it rests on, and beside it `Stalled` or `Reconciling` while they hold.
    ///
    /// `checks` come in the order of their weight: the first that is not True is Ready's reason. `stalls` are the reasons
    /// that last until the author of the object changes something.
    package mutating func summarize(_ checks: [Check], stalls: Set<Reason>) {
        guard let failing = checks.first(where: { $0.status != .yes }) else {
            set(.ready, .yes, .ready)
            remove(.stalled)
            remove(.reconciling)
            order()
            return
        }
        set(.ready, .no, failing.reason, failing.message)
        if stalls.contains(failing.reason) {
            set(.stalled, .yes, failing.reason, failing.message)
            remove(.reconciling)
        } else {
            set(.reconciling, .yes, failing.reason, failing.message)
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

extension NetworkStatus {
    /// Takes these conditions, and what they say in one word.
    package mutating func take(_ new: [Condition]) {
        conditions = new
        // Ready covers what else is wished of an object here; these two depend on other sites.
        let wished = [ConditionType.ready, .connected, .hasTargets].compactMap {
            new[type: $0.rawValue]
        }
        summary = (wished.first { $0.status != .yes } ?? wished.first)?.reason
    }
}

/// Why what a spec says now is not known, or not wholly to be used; what it said before works on.
package struct SpecProblem: Equatable, Sendable {
    package var message: String
    /// It is about to end by itself, as when a file is being written.
    package var isPassing: Bool
    package var reason: Reason

    package init(_ message: String, isPassing: Bool = false, reason: Reason = .invalid) {
        self.message = message
        self.isPassing = isPassing
        self.reason = reason
    }
}

extension ConditionWriter {
    /// Whether the spec is accepted, of which nothing is wrong but `problem`.
    mutating func setAccepted(_ problem: SpecProblem?) {
        if let problem, problem.isPassing {
            set(.accepted, .unknown, .progressing, problem.message)
        } else if let problem {
            set(.accepted, .no, problem.reason, problem.message)
        } else {
            set(.accepted, .yes, .accepted)
        }
    }
}

extension [Condition] {
    /// Those of our types: others may add conditions of their own, which are theirs to keep.
    package var ours: [Condition] { filter { ConditionType(rawValue: $0.type) != nil } }
}
