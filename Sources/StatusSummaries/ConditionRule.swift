import KubernetesAPI
import NetworkAPI

/// What a rule says of a condition.
enum ConditionVerdict {
    case set(Condition.Status, Reason, String)
    /// What is stored holds, for all that is known.
    case keep
    /// What is stored was found out about an earlier generation and holds for that one; this one is not known yet.
    case keepUntilApplied
    case remove
}

/// One of the rules of a condition: they stand in a list in the order of their weight, and the first that has something to say of the
/// facts decides.
struct ConditionRule<Facts>: Sendable {
    let verdict: @Sendable (Facts) -> ConditionVerdict?

    /// A rule that says what `verdict` gives; nil: nothing.
    init(_ verdict: @escaping @Sendable (Facts) -> ConditionVerdict?) { self.verdict = verdict }

    /// Not true, for `reason`, where there is a message.
    static func no(_ reason: Reason, _ message: @escaping @Sendable (Facts) -> String?) -> Self {
        Self { message($0).map { .set(.no, reason, $0) } }
    }

    /// Not known, for `reason`, where there is a message.
    static func unknown(_ reason: Reason, _ message: @escaping @Sendable (Facts) -> String?) -> Self
    {
        Self { message($0).map { .set(.unknown, reason, $0) } }
    }

    /// True where there is a message, which may be empty.
    static func yes(_ reason: Reason, _ message: @escaping @Sendable (Facts) -> String?) -> Self {
        Self { message($0).map { .set(.yes, reason, $0) } }
    }
}

extension ConditionWriter {
    /// Sets a condition by the first rule that has something to say; the last one always has.
    mutating func set<Facts>(
        _ type: ConditionType,
        by rules: [ConditionRule<Facts>],
        of facts: Facts
    ) {
        switch rules.lazy.compactMap({ $0.verdict(facts) }).first {
        case .set(let status, let reason, let message)?: set(type, status, reason, message)
        case .keepUntilApplied?: keepUntilApplied(type)
        case .remove?: remove(type)
        case .keep?: break
        case nil: preconditionFailure("no rule of \(type) has a word for these facts")
        }
    }
}
