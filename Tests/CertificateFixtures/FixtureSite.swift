package import NetworkModel
package import TLS

/// A site with an identity of its own, made for one test.
package final class FixtureSite: Sendable {
    package let key: FixtureKey
    package let authority: FixtureCertificate
    package let id: SiteID

    package init(
        _ name: String = "site",
        key kind: FixtureKey.Kind = .p256,
        change: (inout CertificateRecipe) -> Void = { _ in }
    ) throws {
        key = try FixtureKey(kind)
        var recipe = CertificateRecipe.authority(name)
        change(&recipe)
        authority = try FixtureCertificate(recipe, key: key, signedBy: key)
        id = key.siteID
    }

    package func uri(_ role: ProxyRole) -> String { LeafName(site: id, role: role).description }

    /// A leaf of this site, with whatever `change` does to it.
    package func leaf(
        _ role: ProxyRole = .gateway,
        key kind: FixtureKey.Kind = .p256,
        change: (inout CertificateRecipe) -> Void = { _ in }
    ) throws -> FixtureLeaf {
        let leafKey = try FixtureKey(kind)
        var recipe = CertificateRecipe.leaf("proxy", uris: [uri(role)])
        change(&recipe)
        let leaf = try FixtureCertificate(recipe, key: leafKey, issuer: authority, signedBy: key)
        return FixtureLeaf(certificate: leaf, key: leafKey, authority: authority)
    }

    package func credentials(_ role: ProxyRole = .gateway) throws -> Credentials {
        try leaf(role).credentials()
    }

    package func context(_ role: ProxyRole = .gateway) throws -> TLSContext {
        try TLSContext(credentials: credentials(role))
    }
}

/// A leaf with its key and the CA that goes with it.
package struct FixtureLeaf: Sendable {
    package let certificate: FixtureCertificate
    package let key: FixtureKey
    package let authority: FixtureCertificate

    /// DER, leaf first.
    package var chain: [[UInt8]] { [certificate.der, authority.der] }

    package func credentials() throws -> Credentials {
        try Credentials(certificates: certificate.pem + authority.pem, privateKey: key.pem)
    }
}
