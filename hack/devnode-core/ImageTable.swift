/// An image as a node keeps it: unpacked layers, and what runs unless a pod says otherwise.
package struct Image: Hashable, Sendable {
    package var entryPoint: String
    package var user: Int64
    package var group: Int64
    /// Folders; what an earlier one has hides what a later one has.
    package var layers: [String]
}

/// The images of a node, by the names that pods call them.
package struct ImageTable: Sendable {
    package let images: [String: Image]

    package struct Malformed: Error, CustomStringConvertible {
        package let description: String
    }

    /// Reads lines of the form `NAME ENTRY-POINT UID:GID LAYER...`, as `hack/images/node.sh` writes them.
    package init(parsing text: String) throws(Malformed) {
        var images: [String: Image] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            let owner = words.count > 2 ? words[2].split(separator: ":").map { Int64($0) } : []
            guard words.count > 3, owner.count == 2, let user = owner[0], let group = owner[1]
            else { throw Malformed(description: "no image is described by the line: \(line)") }
            images[words[0]] = Image(
                entryPoint: words[1],
                user: user,
                group: group,
                layers: Array(words[3...])
            )
        }
        self.images = images
    }
}
