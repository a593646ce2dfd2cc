package import NetworkModel

/// Whom a verified chain (leaf + site CA) speaks for.
package struct NeighborIdentity: Hashable, Sendable {
    /// Derived from the public key that signed the leaf.
    package let site: SiteID
    package let role: ProxyRole
    /// The leaf's key: it signs the proxy's link state advertisements.
    package let publicKey: PublicKey

    package init(site: SiteID, role: ProxyRole, publicKey: PublicKey) {
        self.site = site
        self.role = role
        self.publicKey = publicKey
    }
}
