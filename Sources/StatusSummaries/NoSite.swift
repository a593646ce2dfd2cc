import KubernetesAPI
package import NetworkAPI
package import NetworkModel

/// What Links and Services say in a namespace that has no Site.
package enum NoSite {
    package static let message =
        "this namespace has no Site; create one: a Site makes the namespace a member of the network"

    /// The same of a Service, with what becomes of it in other namespaces.
    static func message(for service: Service, staysExposed: Bool) -> String {
        guard service.spec.listen?.namespaces != nil else { return message }
        let exposure =
            staysExposed
            ? "what the Service has in other namespaces waits \(patience.components.seconds) s for a Site, and then goes"
            : "without one the Service has nothing in other namespaces"
        return "\(message); \(exposure)"
    }

    /// How long a Site is waited for: it may be about to come with the same change, or to be replaced by another one.
    package static let patience: Duration = .seconds(30)

    /// How much longer what a Service has in other namespaces stays, when no Site has been there for `absence`; nil: it goes.
    ///
    /// Clients know its addresses, so a Site that is replaced must find them. A namespace that goes takes it along at once.
    package static func grace(absence: Duration, isNamespaceTerminating: Bool) -> Duration? {
        guard !isNamespaceTerminating, absence < patience else { return nil }
        return patience - absence
    }

    /// The reasons among `stalls` that stall an object now, when it said `conditions` before.
    static func stalls(
        _ stalls: Set<Reason>,
        _ conditions: [Condition],
        at now: Timestamp
    ) -> Set<Reason> {
        let accepted = conditions[type: ConditionType.accepted.rawValue]
        guard let accepted, accepted.status == .no, accepted.reason == Reason.noSite.rawValue,
            now - accepted.lastTransitionTime >= patience
        else { return stalls }
        return stalls.union([.noSite])
    }
}

extension NetworkObject {
    /// How long until it is Stalled for want of a Site; nil: it is not about to be.
    ///
    /// What is left of the patience, not all of it: each look in between would put the end off.
    package func siteAwaited(at now: Timestamp) -> Duration? {
        let conditions = status.conditions
        guard conditions[type: ConditionType.ready.rawValue]?.reason == Reason.noSite.rawValue,
            !conditions.isTrue(ConditionType.stalled.rawValue)
        else { return nil }
        let since = conditions[type: ConditionType.accepted.rawValue]?.lastTransitionTime ?? now
        return max(.seconds(1), NoSite.patience - (now - since))
    }
}
