import NetworkModel

/// A host as it stands in a manifest: an IP address or a DNS name.
enum HostText {
    /// As it is used: names in lower case.
    ///
    /// A dot at the end stays, for who resolves the name: it is whole then, and no search domain is tried.
    static func normalized(_ text: String) -> String {
        IPAddress(text) == nil ? text.lowercased() : text
    }

    /// What is wrong with it; nil when it can be used.
    static func problem(_ text: String) -> String? {
        guard IPAddress(text) == nil else { return nil }
        let name = withoutDot(normalized(text))
        guard DNSName.isSubdomain(name) else {
            return
                "\"\(text)\" must be a DNS name (\(DNSBounds.name)) or an IP address, without a port"
        }
        // `127.1`, `0177.0.0.1`, `2130706433`: C libraries take them for addresses, each in its own way.
        let last = name.split(separator: ".").last ?? ""
        let isNumber =
            last.allSatisfy(\.isNumber)
            || (last.hasPrefix("0x") && last.dropFirst(2).allSatisfy(\.isHexDigit))
        guard !isNumber else {
            return
                "\"\(text)\" is neither a DNS name nor an address in the usual form; write an IPv4 address as four "
                + "decimal numbers, such as 192.0.2.1"
        }
        return nil
    }

    /// The same for every way to write the same host.
    static func key(_ text: String) -> String {
        IPAddress(text).map { "\($0)" } ?? withoutDot(normalized(text))
    }

    private static func withoutDot(_ name: String) -> String {
        name.count > 1 && name.hasSuffix(".") ? String(name.dropLast()) : name
    }
}
