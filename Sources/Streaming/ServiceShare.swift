/// The descriptors that all clients and servers of the process may hold, and how many of all are open.
package struct DescriptorRoom: Equatable, Sendable {
    package var total: Int
    package var open: Int

    package init(total: Int, open: Int) {
        self.total = total
        self.open = open
    }
}

/// What one service port holds of the descriptors that all services share.
///
/// No service uses up what the others need: one that holds half of the room gets no more once three quarters are used, and
/// connections on which no byte has passed hold a quarter of it at most. So a service that leads to itself over others,
/// which no address tells, ends there: each newcomer that is refused takes the one before with it. Pure.
package struct ServiceShare: Equatable, Sendable {
    /// Connections, and those of them on which no byte has passed.
    package private(set) var held = 0
    package private(set) var untouched = 0

    /// A client's socket and a server's.
    private static let cost = 2

    package init() {}

    /// Counts one more connection if there is room for it.
    package mutating func admit(in room: DescriptorRoom) -> Bool {
        let isLarge = (held + 1) * Self.cost > room.total / 2
        let isScarce = room.open + Self.cost > room.total / 4 * 3
        guard !(isLarge && isScarce), (untouched + 1) * Self.cost <= max(room.total / 4, Self.cost)
        else { return false }
        held += 1
        untouched += 1
        return true
    }

    package mutating func touched() { untouched -= 1 }

    package mutating func left(isTouched: Bool) {
        held -= 1
        if !isTouched { untouched -= 1 }
    }
}
