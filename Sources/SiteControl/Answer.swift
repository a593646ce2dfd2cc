package import NetworkModel

/// What a look-up of a name gave, in the resolver's order.
package enum Answer: Hashable, Sendable {
    case addresses([IPAddress])
    /// Why there are none.
    case failed(String)
}
