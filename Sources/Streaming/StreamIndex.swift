package import Wire

/// Where the streams of a proxy are that begin or end here, by their names; those in transit have no entry.
///
/// An entry is as old as its stream is known to others, and goes with it.
package struct StreamIndex: Sendable {
    /// Names one stream of one loop for as long as it is there.
    package struct Place: Hashable, Sendable {
        package let loop: Int
        package let stream: ObjectIdentifier

        package init(loop: Int, stream: ObjectIdentifier) {
            self.loop = loop
            self.stream = stream
        }
    }

    private var places: [StreamName: Place] = [:]

    package init() {}

    package var count: Int { places.count }

    package func find(_ name: StreamName) -> Place? { places[name] }

    /// False when another stream has that name: it keeps it.
    @discardableResult
    package mutating func insert(_ name: StreamName, _ place: Place) -> Bool {
        guard let known = places[name] else {
            places[name] = place
            return true
        }
        return known == place
    }

    /// Takes the entry out if it is that of `place`.
    package mutating func remove(_ name: StreamName, _ place: Place) {
        guard let index = places.index(forKey: name), places[index].value == place else { return }
        places.remove(at: index)
    }
}
