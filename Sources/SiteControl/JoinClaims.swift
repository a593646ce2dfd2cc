import NetworkModel
import ProxyContract

/// The sites that have proved to hold a token of this one and are not let in yet: the controller hears of them, and lets them in.
///
/// A site has one entry, a token no more than sites that may come by it: whoever holds one fills no list with identities. Pure.
struct JoinClaims {
    static let limit = 64

    private(set) var waiting: [JoinedSite] = []

    /// Takes a claim; returns what the claimant is told meanwhile.
    mutating func take(
        _ claim: JudgedClaim,
        of site: SiteName,
        among grants: [GrantConfiguration],
        wall: Timestamp
    ) -> String {
        guard claim.verdict != .unheard else {
            return
                "more claims of tokens come than are looked at, from this address or in all: this one is made again by itself"
        }
        guard let grant = grants.first(where: { $0.name == claim.grant }), claim.verdict == .proved
        else {
            return
                "the token (\(claim.grant)) is none of this site's, or was withdrawn: ask for another one"
        }
        guard wall.seconds <= grant.expires else {
            return
                "the token (\(grant.name)) expired at \(Timestamp(seconds: grant.expires)), and it is "
                + "\(Timestamp(seconds: wall.seconds)) here: ask for another one, or set the clock that is wrong"
        }
        let good =
            "the token is good: this site is let in as soon as the controller of the other one has written that down"
        if waiting.contains(where: { $0.grant == grant.name && $0.site.id == site.id }) {
            return good
        }
        guard grant.revoked?.contains(site.id) != true else {
            return
                "the token (\(grant.name)) let this site in before it was cut off: ask for another one"
        }
        guard waiting.count(where: { $0.grant == grant.name }) < grant.uses else {
            return
                "the token (\(grant.name)) was used by as many sites as it is for: ask for another one"
        }
        guard waiting.count < Self.limit else {
            return "too many sites come by tokens; this one has to wait"
        }
        waiting.append(JoinedSite(grant: grant.name, site: site))
        return good
    }

    /// Forgets those that are let in, and those whom their tokens do not let in any more: others came first, through another gateway.
    mutating func configured(allow: [SiteName], grants: [GrantConfiguration]) {
        var left = Dictionary(grants.map { ($0.name, $0.uses) }) { first, _ in first }
        waiting.removeAll { claim in
            guard !allow.contains(where: { $0.id == claim.site.id }),
                let uses = left[claim.grant], uses > 0
            else { return true }
            left[claim.grant] = uses - 1
            return false
        }
    }
}
