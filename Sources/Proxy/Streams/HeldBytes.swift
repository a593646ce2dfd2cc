/// Bytes that one loop holds for connections.
package struct HeldBytes: Hashable, Sendable {
    /// Of streams: sent and not acknowledged, or waiting for a socket.
    package var rings = 0
    /// Of relays within the site: their targets take nothing.
    package var relays = 0

    package init(rings: Int = 0, relays: Int = 0) {
        self.rings = rings
        self.relays = relays
    }
}
