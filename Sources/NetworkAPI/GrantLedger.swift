package import FoundationEssentials
package import KubernetesAPI
package import NetworkModel
package import ProxyContract

/// What a site keeps of a token that it issued, and who came by it.
package struct JoinGrant: Hashable, Sendable, Codable {
    /// The digest of the token's secret.
    package var key: Data
    package var expires: Timestamp
    /// How many sites may come by it.
    package var uses: Int
    /// With the names that they gave themselves.
    package var admitted: [NamedSite]
    /// Those of them that were cut off since; nil: none.
    package var revoked: [SiteID]?

    package init(key: Data, expires: Timestamp, uses: Int) {
        self.key = key
        self.expires = expires
        self.uses = uses
        admitted = []
    }

    var left: Int { max(0, uses - admitted.count - (revoked ?? []).count) }
}

/// The grants of a site: one Secret, an entry for each (a plain site: one folder, a file for each), so that whatever becomes of one is a single conditional write.
///
/// Pure. An entry that does not decode lets nobody in and stays as it is.
package struct GrantLedger: Sendable {
    package private(set) var grants: [String: JoinGrant]
    /// What has to be written into the Secret; nil: taken out.
    package private(set) var changes: [String: Data?] = [:]

    package init(_ secret: Core.Secret?) { self.init(secret?.data ?? [:]) }

    package init(_ entries: [String: Data]) {
        grants = entries.compactMapValues {
            try? JSONDecoder().decode(JoinGrant.self, from: $0)
        }
    }

    private mutating func set(_ name: String, _ grant: JoinGrant?) throws {
        grants[name] = grant
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        changes[name] = .some(try grant.map(encoder.encode))
    }

    /// Adds one, and forgets those that expired before anybody came.
    package mutating func issue(_ name: String, _ grant: JoinGrant, at now: Timestamp) throws {
        for (old, entry) in grants where entry.admitted.isEmpty && entry.expires < now {
            try set(old, nil)
        }
        try set(name, grant)
    }

    /// Lets those in that came by a grant that has room for them; returns who is new.
    ///
    /// A site that came before is neither new nor counted again: whoever is stopped after the write finds it done.
    package mutating func admit(_ claims: [JoinedSite]) throws -> [JoinedSite] {
        var new: [JoinedSite] = []
        for claim in claims {
            guard var grant = grants[claim.grant], grant.left > 0,
                !grant.admitted.contains(where: { $0.siteID == claim.site.id }),
                !(grant.revoked ?? []).contains(claim.site.id)
            else { continue }
            let name = claim.site.name
            grant.admitted.append(
                NamedSite(siteID: claim.site.id, name: name.isEmpty ? nil : name)
            )
            try set(claim.grant, grant)
            new.append(claim)
        }
        return new
    }

    /// Whether a site came by the grant that it claims.
    package func hasAdmitted(_ claim: JoinedSite) -> Bool {
        grants[claim.grant]?.admitted.contains { $0.siteID == claim.site.id } ?? false
    }

    /// Cuts a site off that came by any of them.
    package mutating func revoke(_ site: SiteID) throws {
        for (name, grant) in grants where grant.admitted.contains(where: { $0.siteID == site }) {
            var grant = grant
            grant.admitted.removeAll { $0.siteID == site }
            grant.revoked = (grant.revoked ?? []) + [site]
            try set(name, grant)
        }
    }

    /// Who came by them.
    package var admitted: [NamedSite] {
        var seen: Set<SiteID> = []
        return grants.sorted { $0.key < $1.key }.flatMap(\.value.admitted)
            .filter { seen.insert($0.siteID).inserted }
    }

    /// What gateways need to know: those of which nothing is left too, so that they can say so.
    package var configured: [GrantConfiguration] {
        grants.sorted { $0.key < $1.key }.map { name, grant in
            GrantConfiguration(
                name: name,
                key: grant.key,
                expires: grant.expires.seconds,
                uses: grant.left,
                revoked: grant.revoked
            )
        }
    }
}

/// What tokens add to a site's configuration.
package struct Joins: Hashable, Sendable {
    /// Issued here.
    package var grants: [GrantConfiguration]
    /// Who came by them.
    package var admitted: [SiteID]
    /// Those of Links, by the name of the Secret.
    package var tokens: [String: TokenConfiguration]

    package init(
        _ ledger: GrantLedger = GrantLedger([:]),
        tokens: [String: TokenConfiguration] = [:]
    ) {
        grants = ledger.configured
        admitted = ledger.admitted.map(\.siteID).sorted()
        self.tokens = tokens
    }
}
