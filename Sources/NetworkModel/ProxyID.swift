/// The identity of one proxy process: its site and a random instance number made at every start.
///
/// The site part is always derived from a verified certificate; a restart is a new proxy to everyone.
package struct ProxyID: Hashable, Comparable, Sendable, CustomStringConvertible {
    // In an order without gaps.
    /// Random, never zero.
    package let instance: UInt64
    package let site: SiteID

    package init(site: SiteID, instance: UInt64) {
        self.site = site
        self.instance = instance
    }

    /// Parses what `description` prints, and nothing else: `SITEID/16 hexadecimal digits`, in lower case, not all 0.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let site = SiteID(String(parts[0])),
            let instance = UInt64(parts[1], radix: 16), instance != 0
        else { return nil }
        self.init(site: site, instance: instance)
        guard description == text else { return nil }
    }

    package var description: String {
        let digits = String(instance, radix: 16)
        return "\(site)/" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.site, left.instance) < (right.site, right.instance)
    }
}
