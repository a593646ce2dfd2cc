import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

/// Which Events a change of status is worth: one for each transition.
///
/// They are told before the status is written that carries the transition. So their seeds are made of what was before: whoever
/// finds the same transition again, after a crash between both, makes the same Event.
enum Transitions {
    /// The Events of a Link whose conditions were `before` and are written as `after`.
    static func link(_ link: Link, before: [Condition], after: [Condition]) -> [EventPlan] {
        var events = conflict(link, before: before, after: after)
        let type = ConditionType.connected.rawValue
        guard let connected = after[type: type], before[type: type]?.status != connected.status,
            // Silence says nothing of a link, nor does its end.
            before[type: type]?.reason != Reason.proxiesSilent.rawValue || connected.status == .no
        else {
            return events
        }
        let seed = seed(before, type)
        if connected.status == .yes {
            events.append(
                EventPlan(
                    regarding: ObjectReference(to: link),
                    reason: .linkConnected,
                    isWarning: false,
                    note: "linked to \(remoteName(link))",
                    seed: seed
                )
            )
        } else if connected.status == .no, before[type: type]?.status == .yes {
            events.append(
                EventPlan(
                    regarding: ObjectReference(to: link),
                    reason: .linkLost,
                    isWarning: true,
                    note:
                        "lost the link to \(remoteName(link)): \(connected.reason): \(connected.message)",
                    seed: seed
                )
            )
        }
        return events
    }

    /// The Event of a Service that has no usable target any more, or has one again.
    ///
    /// That a new Service finds its targets is no transition, and neither silence nor its end says anything of them.
    static func targets(
        _ service: Service,
        before: [Condition],
        after: [Condition]
    ) -> EventPlan? {
        let type = ConditionType.hasTargets.rawValue
        guard let now = after[type: type], let then = before[type: type],
            then.status != now.status, then.status != .unknown, now.status != .unknown,
            // A Service that is refused, or has no Site any more, has lost nothing that others offer.
            after.isTrue(ConditionType.accepted.rawValue),
            service.metadata.creationTimestamp.map({ now.lastTransitionTime - $0 >= .seconds(10) })
                ?? true
        else { return nil }
        let isFound = now.status == .yes
        let address = service.address?.text ?? service.metadata.name
        return EventPlan(
            regarding: ObjectReference(to: service),
            reason: isFound ? .targetsFound : .targetsLost,
            isWarning: !isFound,
            note: isFound
                ? "the address \(address) has a usable target"
                : "no target of the address \(address) can be used: \(now.reason): \(now.message)",
            seed: seed(before, type)
        )
    }

    /// The state that ends with a transition; a condition has each once.
    private static func seed(_ before: [Condition], _ type: String) -> String {
        before[type: type].map { "\($0.status.rawValue) \($0.reason) \($0.lastTransitionTime)" }
            ?? ""
    }

    private static func remoteName(_ link: Link) -> String {
        let id = link.spec.remoteSiteID
        return link.status.remoteSite?.name.map { "\($0) (\(id))" } ?? id.text
    }

    /// An object that begins to be in conflict with another one, or a Site that loses its identity.
    static func conflict(
        _ object: some NetworkObject,
        before: [Condition],
        after: [Condition]
    ) -> [EventPlan] {
        after.compactMap { condition in
            guard let reason = stuck(condition.reason), told.contains(condition.type),
                before[type: condition.type]?.reason != condition.reason,
                !condition.message.isEmpty
            else { return nil }
            return EventPlan(
                regarding: ObjectReference(to: object),
                reason: reason,
                isWarning: true,
                note: condition.message,
                seed: "\(condition.type) \(seed(before, condition.type))"
            )
        }
    }

    /// The conditions whose reasons are told so.
    private static let told = Set(
        [ConditionType.accepted, .programmed, .certificatesCurrent].map(\.rawValue)
    )

    /// The Event for a reason that lasts until somebody acts.
    private static func stuck(_ reason: String) -> EventReason? {
        switch Reason(rawValue: reason) {
        case .conflict: .conflict
        case .identityLost: .identityLost
        case .identityMissing: .identityMissing
        case .identityMismatch: .identityMismatch
        case .certificateInvalid: .certificateInvalid
        case .certificateExpiring: .certificateExpiring
        default: nil
        }
    }

    static func failover(_ service: Service, _ failover: Failover) -> EventPlan {
        let (from, to) = (failover.from, failover.to)
        var note: String
        if failover.isFailback {
            note = "\(from) to \(to): the preferred target takes new connections again"
        } else {
            note = "\(from) to \(to), \(failover.reason): \(failover.lost) connections lost"
            if failover.resumed > 0 { note += ", \(failover.resumed) went on" }
            note += "; new connections went on after \(failover.durationMilliseconds) ms"
        }
        return EventPlan(
            regarding: ObjectReference(to: service),
            reason: failover.isFailback ? .failedBack : .failedOver,
            isWarning: !failover.isFailback,
            note: note,
            seed: "\(from) \(to) \(failover.reason) \(failover.time.seconds)"
        )
    }

    /// A site that dials this one and is not allowed to; once for each, while it keeps trying.
    static func refused(_ site: Site, _ refused: RefusedLink) -> EventPlan? {
        guard refused.reason == .notAllowed else { return nil }
        let id = refused.site.id
        let name = DNSName.isLabel(refused.site.name) ? refused.site.name : ""
        let entry = name.isEmpty ? "{siteID: \(id)}" : "{siteID: \(id), name: \(name)}"
        return EventPlan(
            regarding: ObjectReference(to: site),
            reason: .notAllowed,
            isWarning: true,
            note:
                "the site \(id) tried to link to this one and is not in spec.allow; to let it in, add: - \(entry)",
            seed: id.text
        )
    }

    /// More sites than are told one by one.
    static func refusedOthers(_ site: Site, _ count: Int, seed: String) -> EventPlan {
        EventPlan(
            regarding: ObjectReference(to: site),
            reason: .notAllowed,
            isWarning: true,
            note:
                "and \(count) \(count == 1 ? "other" : "others"): many sites that are not in spec.allow try to link to this one; "
                + "see to who can reach its link port",
            seed: "others \(seed)"
        )
    }

    /// The site is another one for all that know it.
    ///
    /// `isPlanned`: those know the new identity already.
    static func identityChanged(
        _ site: Site,
        from old: SiteID,
        to new: SiteID,
        isPlanned: Bool = false
    ) -> EventPlan {
        let note =
            isPlanned
            ? "the identity of this site changes from \(old) to \(new) as asked for; once its gateways are rolled, "
                + "take the old one out of the Links to this site and out of spec.allow of the sites that it dials"
            : "the identity of this site changes from \(old) to \(new): put it into remoteSiteID of the Links to "
                + "this site and into spec.allow of the sites that this one dials"
        return EventPlan(
            regarding: ObjectReference(to: site),
            reason: .identityChanged,
            isWarning: !isPlanned,
            note: note,
            seed: "\(old) \(new)"
        )
    }

    /// Others may learn an identity before it is used.
    static func identityPrepared(_ site: Site, next: SiteID) -> EventPlan {
        EventPlan(
            regarding: ObjectReference(to: site),
            reason: .identityPrepared,
            isWarning: false,
            note:
                "the identity \(next) is prepared: put it into nextRemoteSiteID of the Links to this site and into "
                + "spec.allow of the sites that this one dials, then name it in the annotation tieline.dev/next-identity",
            seed: next.text
        )
    }

    static func joined(_ site: Site, _ joined: JoinedSite) -> EventPlan {
        let name = joined.site.name.isEmpty ? "" : ", which calls itself \"\(joined.site.name)\","
        return EventPlan(
            regarding: ObjectReference(to: site),
            reason: .siteJoined,
            isWarning: false,
            note: "site \(joined.site.id)\(name) came by the token \(joined.grant) and is let in",
            seed: "\(joined.grant) \(joined.site.id)"
        )
    }

    static func rotated(_ site: Site, secret: String, until notAfter: String) -> EventPlan {
        EventPlan(
            regarding: ObjectReference(to: site),
            reason: .certificateRotated,
            isWarning: false,
            note:
                "the certificate in the Secret \(secret) was renewed; it is valid until \(notAfter)",
            seed: "\(secret) \(notAfter)"
        )
    }
}
