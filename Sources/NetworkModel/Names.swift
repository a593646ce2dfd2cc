/// The name of a Link object within its Site.
///
/// With the dialing SiteID it names an edge of the network.
package struct LinkName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    /// Fails unless `text` is a DNS subdomain name (RFC 1123) of at most 253 characters.
    package init?(_ text: String) {
        guard DNSName.isSubdomain(text) else { return nil }
        self.text = text
    }

    package var description: String { text }
    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// The network-wide name of a service.
package struct ServiceAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    /// Fails unless `text` is a DNS subdomain name (RFC 1123) of at most 253 characters.
    package init?(_ text: String) {
        guard DNSName.isSubdomain(text) else { return nil }
        self.text = text
    }

    package var description: String { text }
    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// The name of a port of a service; ports are matched across sites by address and port name.
package struct PortName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    /// Fails unless `text` is a DNS label (RFC 1123) of at most 63 characters.
    package init?(_ text: String) {
        guard DNSName.isLabel(text) else { return nil }
        self.text = text
    }

    package var description: String { text }
    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// One port of one service: the unit that is advertised, listened on and balanced.
package struct ServicePort: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let address: ServiceAddress
    package let port: PortName

    package init(address: ServiceAddress, port: PortName) {
        self.address = address
        self.port = port
    }

    /// Parses what `description` prints: `ADDRESS/PORTNAME`.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = ServiceAddress(String(parts[0])),
            let port = PortName(String(parts[1]))
        else { return nil }
        self.init(address: address, port: port)
    }

    package var description: String { "\(address)/\(port)" }
    package static func < (left: Self, right: Self) -> Bool {
        (left.address, left.port) < (right.address, right.port)
    }
}

/// Checks of DNS names, RFC 1123 section 2.1, in the lower-case form that Kubernetes demands.
package enum DNSName {
    package static func isLabel(_ text: String) -> Bool {
        var labels = Labels()
        for byte in text.utf8 where byte == UInt8(ascii: ".") || !labels.take(byte) { return false }
        return labels.canEnd
    }

    /// By its bytes, in one pass: an advertisement may name hundreds, each of which is read whenever one comes.
    package static func isSubdomain(_ text: String) -> Bool {
        guard text.utf8.count <= 253 else { return false }
        var labels = Labels()
        for byte in text.utf8 where !labels.take(byte) { return false }
        return labels.canEnd
    }

    /// Labels between dots.
    private struct Labels {
        /// Bytes of the label so far.
        private var count = 0
        private var last = UInt8(ascii: "-")

        /// Neither an empty label nor a hyphen at an end of one.
        var canEnd: Bool { count > 0 && last != UInt8(ascii: "-") }

        mutating func take(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                count += 1
            case UInt8(ascii: "-"):
                guard count > 0 else { return false }
                count += 1
            case UInt8(ascii: "."):
                guard canEnd else { return false }
                count = 0
            default: return false
            }
            last = byte
            return count <= 63
        }
    }
}
