package import Foundation

/// Documents as a version of Tieline wrote them, in `Tests/Golden`.
///
/// They are never changed: two versions run side by side during an upgrade, so what was ever written stays readable. When
/// a format grows, the document of the new form gets a file, or a line, of its own behind the one of the former form.
package enum Golden {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "Golden")

    package static func data(_ name: String) throws -> Data {
        try Data(contentsOf: folder.appending(path: name))
    }

    /// The lines of a file but for comments and empty ones.
    package static func lines(_ name: String) throws -> [String] {
        String(decoding: try data(name), as: UTF8.self)
            .split(separator: "\n")
            .filter { !$0.hasPrefix("#") }
            .map(String.init)
    }

    /// The JSON document with a field in each of its objects that no version knows.
    ///
    /// Objects in fewer than `depth` others stay as they are: their keys may be names.
    package static func extended(_ document: Data, below depth: Int = 0) throws -> Data {
        func extend(_ value: Any, _ level: Int) -> Any {
            switch value {
            case let object as [String: Any]:
                var more = object.mapValues { extend($0, level + 1) }
                if level >= depth { more["fieldOfALaterVersion"] = ["anything": 1] }
                return more
            case let list as [Any]: return list.map { extend($0, level) }
            default: return value
            }
        }
        let value = extend(try JSONSerialization.jsonObject(with: document), 0)
        return try JSONSerialization.data(withJSONObject: value, options: [.sortedKeys])
    }
}
