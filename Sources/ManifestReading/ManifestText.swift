package import FoundationEssentials

/// The text of a manifest file, in the encodings that YAML has (1.2, 5.2): UTF-8, or UTF-16 with a byte order mark.
package enum ManifestText {
    /// - Throws: a sentence for people.
    package static func decode(_ data: Data) throws(ManifestTextProblem) -> String {
        let bytes = [UInt8](data)
        let text: String?
        switch bytes.prefix(2) {
        case [0xFE, 0xFF]: text = utf16(bytes.dropFirst(2)) { UInt16($0) << 8 | UInt16($1) }
        case [0xFF, 0xFE]: text = utf16(bytes.dropFirst(2)) { UInt16($1) << 8 | UInt16($0) }
        default:
            let hasMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
            text = String(validating: bytes.dropFirst(hasMark ? 3 : 0), as: UTF8.self)
        }
        guard let text else { throw ManifestTextProblem() }
        return text
    }

    private static func utf16(
        _ bytes: ArraySlice<UInt8>,
        _ unit: (UInt8, UInt8) -> UInt16
    ) -> String? {
        guard bytes.count % 2 == 0 else { return nil }
        let units = stride(from: bytes.startIndex, to: bytes.endIndex, by: 2)
            .map { unit(bytes[$0], bytes[$0 + 1]) }
        return String(validating: units, as: UTF16.self)
    }
}

package struct ManifestTextProblem: Error, CustomStringConvertible {
    package let description = "this is not text in UTF-8 or UTF-16; save it as UTF-8"
}
