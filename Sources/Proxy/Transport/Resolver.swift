package import NetworkModel

/// Looks names up with the system's resolver, away from the loops.
package final class Resolver: Sendable {
    package init() {}

    /// Gives the addresses of `host`, in the resolver's order and without duplicates, to `completion` on the loop of
    /// `mailbox`; an IP address is its own answer. Concurrent questions for one name share one look-up.
    package func resolve(
        _ host: String,
        replyTo mailbox: Mailbox,
        _ completion: @escaping @Sendable (EventLoop, Result<[IPAddress], ResolverError>) -> Void
    ) {}
}

/// Why a name has no address; the text is the system's.
package struct ResolverError: Error, Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let reason: String

    package var description: String { "\(host): \(reason)" }
}
