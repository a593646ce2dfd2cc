package import NetworkModel
package import SiteConfiguration

/// A running proxy: the one door between the process and the data plane.
///
/// Every function may be called from any thread and returns at once unless it is `async`; the work happens on the loops.
package final class Proxy: Sendable {
    package let options: ProxyOptions
    /// This instance: the site of the credentials and a random number.
    package let id: ProxyID

    /// Checks the credentials and makes the loops; nothing listens yet.
    package init(options: ProxyOptions, credentials: ProxyCredentials) throws(ProxyError) {
        fatalError()
    }

    /// Starts the loops; a gateway listens for its mesh and edges, an edge for its clients.
    package func start() throws(ProxyError) {}

    /// Applies a configuration; one that is older than the applied generation is ignored.
    ///
    /// Only what differs is touched.
    package func apply(_ document: ConfigurationDocument) {}

    /// Why the newest configuration could not be used (from whoever reads it); shown in the snapshot until the next `apply`.
    package func reportConfigurationError(_ message: String) {}

    /// The servers behind the core Service of this name (`Provider.endpointSlices`), all of them.
    package func setEndpoints(service: String, _ endpoints: [LocalEndpoint]) {}

    /// New lanes use these; those of another site's CA are refused.
    package func setCredentials(_ credentials: ProxyCredentials) throws(ProxyError) {}

    /// What this proxy observes now.
    package var snapshot: ProxySnapshot { ProxySnapshot(proxy: id) }

    /// Waits until the snapshot's version is above `version`, at most `limit`; answers with the newest either way.
    package func snapshot(after version: UInt64, limit: Duration) async -> ProxySnapshot {
        snapshot
    }

    /// True for a gateway that has applied a configuration, and for an edge that was told of every address it listens for.
    package var isReady: Bool { false }

    /// Withdraws, goes on accepting for `drain.delay`, closes the listeners, lets streams end within `drain.grace`, resets the
    /// rest and stops the loops.
    package func drain() async {}

    /// Stops at once: open connections are reset.
    package func stop() async {}
}
