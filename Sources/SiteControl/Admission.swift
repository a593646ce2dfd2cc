import NetworkModel
import ProxyContract
import Routing
import Wire

/// Whether a gateway lets a lane in: what its HELLO and its certificate say, against what is known and configured.
struct Admission {
    let own: ProxyID
    let neighbors: AdjacencyTable
    /// The sites that may dial this one.
    let allow: [SiteName]
    let isDraining: Bool

    private static let lanesPerNeighbor = 8
    private static let linksPerNeighbor = 8

    /// Why the lane is refused; nil when nothing but its site's share may speak against it.
    func objection(to candidate: LaneCandidate) -> LaneClosing? {
        guard !isDraining else { return LaneClosing(.shutdown, "this proxy drains") }
        let neighbor = candidate.hello.proxy
        guard neighbor != own else { return LaneClosing(.toSelf, LinkFailure.toSelf) }
        if let existing = neighbors[neighbor], existing.kind != kind(of: candidate) {
            return LaneClosing(
                .helloContradictsCertificate,
                "\(neighbor) is known as another kind of neighbor"
            )
        }
        guard neighbors[neighbor] != nil || !neighbors.isFull else {
            return LaneClosing(
                .overloaded,
                "this gateway has \(AdjacencyTable.neighborLimit) neighbors, which is the most; run more gateways"
            )
        }
        if let beside = candidate.beside { return objectionToBulk(candidate, beside: beside) }
        guard hasRoom(for: candidate) else {
            return LaneClosing(
                .overloaded,
                "this gateway has as many lanes with \(neighbor) as it takes; at most \(Self.linksPerNeighbor) Links "
                    + "between two sites come up: put their endpoints into fewer Links"
            )
        }
        switch candidate.purpose {
        case .link: return objectionToLink(candidate)
        case .inside: return objectionInside(candidate)
        }
    }

    /// A Link's first lane has room beyond what many lanes of others took.
    private func hasRoom(for candidate: LaneCandidate) -> Bool {
        let lanes = (neighbors[candidate.hello.proxy]?.lanes ?? []).filter { !$0.isBulk }
        guard lanes.count >= 2 * Self.lanesPerNeighbor else { return true }
        guard lanes.count < 2 * Self.lanesPerNeighbor + Self.linksPerNeighbor,
            let link = candidate.hello.link
        else { return false }
        let edge = EdgeName.link(dialer: candidate.site, name: link)
        return !lanes.contains { $0.edge == edge }
    }

    /// A bulk lane comes beside one of the same Link that the same proxy has dialed, and may go with it.
    private func objectionToBulk(_ candidate: LaneCandidate, beside: LaneID) -> LaneClosing? {
        let neighbor = candidate.hello.proxy
        guard candidate.purpose == .link, neighbors.owner(of: beside) == neighbor,
            let lane = neighbors.lane(beside), !lane.isDialed, !lane.isBulk,
            let link = candidate.hello.link,
            lane.edge == .link(dialer: candidate.site, name: link)
        else {
            return LaneClosing(.superfluous, "there is no lane beside which it could carry bulk")
        }
        let others = neighbors[neighbor]?.lanes.count { $0.isBulk && $0.edge == lane.edge } ?? 0
        guard others < BulkLanes.limit else {
            return LaneClosing(.superfluous, "there are \(BulkLanes.limit) lanes for bulk")
        }
        return objectionToLink(candidate)
    }

    func objectionToLink(_ candidate: LaneCandidate) -> LaneClosing? {
        let site = candidate.site
        guard candidate.role == .gateway else {
            return LaneClosing(.wrongRole, "a sidecar's certificate cannot be used on a Link")
        }
        guard site != own.site else {
            return LaneClosing(.duplicateIdentity, "both sites have the identity \(site)")
        }
        guard candidate.hello.link != nil else {
            return LaneClosing(.protocolError, "HELLO names no Link")
        }
        guard allow.contains(where: { $0.id == site }) else {
            let name = SiteName(id: site, name: candidate.hello.name)
            return LaneClosing(.notAllowed, LinkFailure.notAllowed(name, remote: own.site))
        }
        return nil
    }

    private func objectionInside(_ candidate: LaneCandidate) -> LaneClosing? {
        let neighbor = candidate.hello.proxy
        guard neighbor.site == own.site else {
            return LaneClosing(.wrongRole, "the internal port is for proxies of this site")
        }
        if candidate.role == .gateway, own < neighbor, neighbors.dialedLanes(to: neighbor) > 0 {
            return LaneClosing(.superfluous, "lanes to \(neighbor) exist")
        }
        return nil
    }

    func kind(of candidate: LaneCandidate) -> AdjacencyTable.Kind {
        if candidate.role == .sidecar { return .sidecar }
        return candidate.site == own.site ? .sibling : .remote
    }

    /// What status says of a site that was refused; nil when nobody need know.
    static func statusReason(_ closing: LaneClosing) -> LinkSnapshot.Reason? {
        switch closing.reason {
        case .notAllowed: .notAllowed
        case .duplicateIdentity: .duplicateIdentity
        case .toSelf: .toSelf
        case .wrongRole, .helloContradictsCertificate: .certificateInvalid
        default: nil
        }
    }
}
