/// What a stream that a neighbor opened holds of the neighbor's account.
struct StreamCharge {
    let account: NeighborAccount
    /// With the socket of a server.
    let hasDescriptor: Bool

    /// Draws it; nil when the site's share is used up.
    init?(_ account: NeighborAccount, hasDescriptor: Bool) {
        guard account.take(.streams) else { return nil }
        if hasDescriptor, !account.take(.descriptors) {
            account.give(.streams)
            return nil
        }
        self.account = account
        self.hasDescriptor = hasDescriptor
    }

    /// Gives it back, once.
    func end() {
        account.give(.streams)
        if hasDescriptor { account.give(.descriptors) }
    }
}
