import KubernetesAPI
package import NetworkAPI

/// What Links and Services say in a namespace that has no Site.
package enum NoSite {
    package static let message =
        "this namespace has no Site; create one: a Site makes the namespace a member of the network"

    /// How long a Site is waited for: it may be about to come with the same change, or to be replaced by another one.
    package static let patience: Duration = .seconds(30)

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
    /// Whether it is about to be Stalled for want of a Site.
    package var awaitsSite: Bool {
        status.conditions[type: ConditionType.ready.rawValue]?.reason == Reason.noSite.rawValue
            && !status.conditions.isTrue(ConditionType.stalled.rawValue)
    }
}
