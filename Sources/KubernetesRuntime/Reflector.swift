package import KubernetesAPI
package import KubernetesClient
package import Logging
package import NetworkModel

/// What a reflector tells about the collection it follows.
package enum ReflectorEvent<Object: KubernetesObject>: Sendable {
    /// The whole state, after a list. Everything else is gone.
    case replaced([Object], undecodable: [Undecodable], resourceVersion: String?)
    case put(Object)
    case removed(Object)
    /// An object is there and does not decode: what is known of it is out of date.
    case undecodable(Undecodable)
    /// An object that did not decode is gone.
    case removedUndecodable(ObjectKey)
    /// Everything up to this version has been told.
    case progressed(resourceVersion: String)
}

/// Follows a collection by list and watch, for ever.
///
/// Guarantees: every state told is one that the server had; after a gap the whole state is told again,
/// so nothing is missed for good. Assumes that the events are taken in one after another. A server that
/// refuses or is overloaded is asked again with growing waits, without listing anew; only a state that
/// is too old (410), or bytes that make no sense, cause a list.
package struct Reflector<Object: KubernetesObject>: Sendable {
    package let client: KubernetesClient
    package let scope: Scope
    package var settings = ReflectorSettings()
    /// Told of each attempt and of how it ended; it must not block.
    package var health: @Sendable (ReflectorHealth) -> Void = { _ in }
    private let logger: Logger

    package init(client: KubernetesClient, scope: Scope, logger: Logger) {
        self.client = client
        self.scope = scope
        var logger = logger
        logger[metadataKey: "kind"] = "\(Object.resource.kind)"
        if let namespace = scope.namespace { logger[metadataKey: "namespace"] = "\(namespace)" }
        self.logger = logger
    }

    /// Runs until the task is canceled.
    package func run(_ sink: @escaping @Sendable (ReflectorEvent<Object>) -> Void) async {
        var session = ReflectorSession<Object>(
            client: client,
            scope: scope,
            settings: settings,
            logger: logger,
            health: health,
            sink: sink
        )
        await session.run()
    }
}

/// Numbers of a reflector; the defaults are meant for production.
package struct ReflectorSettings: Sendable {
    /// Objects in one page of a list.
    package var pageSize = 500
    /// How long the server keeps a watch open, in seconds; chosen by chance, so that many watches do
    /// not end together.
    package var watchSeconds = 300...600
    /// A watch that ends sooner, having told nothing, has failed.
    package var shortestWatch = Duration.seconds(1)
    package var backoff = Backoff.server
    /// While nobody takes a connection.
    package var absence = Backoff.absence
    /// A watch that lasted this long makes earlier failures forgotten.
    package var calm = Duration.seconds(120)
    /// Begin with a watch that sends the present state first; falls back to lists by itself.
    package var usesWatchList = true
    /// What the waits and the ages of watches are measured by.
    package var clock: any Clock<Duration> = ContinuousClock()

    package init() {}
}
