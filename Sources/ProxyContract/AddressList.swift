package import NetworkModel

/// IP addresses as one text: a list of thousands is read, compared and written at the cost of one value.
package struct AddressList: Hashable, Sendable {
    /// Separated by spaces, sorted as text.
    private let text: String

    package init(_ addresses: some Sequence<String>) {
        text = Set(addresses).sorted().joined(separator: " ")
    }

    /// What is no address is left out.
    package var addresses: Set<IPAddress> {
        Set(text.split(separator: " ").compactMap { IPAddress(String($0)) })
    }
}

extension AddressList: Codable {
    package init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
