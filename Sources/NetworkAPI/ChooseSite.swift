import KubernetesAPI
import NetworkModel

/// Picks the Site that a namespace belongs to: the oldest one that is not being deleted, then the one with the smaller UID.
///
/// Every other one gets a finding (Accepted=False, Conflict) that names the chosen one.
package func chooseSite(_ sites: [Site]) -> (site: Site?, findings: [Finding]) {
    let ordered = sites.sorted { isOlder($0.metadata, $1.metadata) }
    guard let chosen = ordered.first(where: { !$0.metadata.isTerminating }) else {
        return (nil, [])
    }
    let findings = ordered.filter { $0.metadata.name != chosen.metadata.name }.map { other in
        Finding(
            object: FoundObject(kind: .site, name: other.metadata.name),
            field: "metadata.name",
            reason: .conflict,
            message:
                "this namespace belongs to the older Site \"\(chosen.metadata.name)\": "
                + "one Site per namespace; delete one of the two"
        )
    }
    return (chosen, findings)
}

/// The order in which objects have what several of them claim.
func isOlder(_ left: ObjectMeta, _ right: ObjectMeta) -> Bool {
    // An object without a time stamp was never stored: files of a plain site, all equally old.
    let times = (left.creationTimestamp?.seconds ?? 0, right.creationTimestamp?.seconds ?? 0)
    if times.0 != times.1 { return times.0 < times.1 }
    let uids = (left.uid ?? "", right.uid ?? "")
    return uids.0 == uids.1 ? left.name < right.name : uids.0 < uids.1
}
