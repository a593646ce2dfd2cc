package import NetworkModel

/// How far the proxies on the way of a service's connections are, and how long one takes to open, as `GET /v1/trace` answers it.
///
/// The times are round trips from the proxy that was asked, measured side by side.
package struct ServiceTrace: Codable, Equatable, Sendable {
    package var proxy: ProxyID
    package var site: SiteName
    package var service: ServicePort
    @WallTime package var time: Timestamp
    /// The site that was traced.
    package var target: SiteName
    /// Of the way that was traced.
    package var pathCost: PathCost?
    /// The proxies on the way, the last of which has the server; none for a server of the own site.
    package var hops: [Hop]
    /// What became of the stream that was opened to a server; it ends without a byte.
    package var stream: Answer

    package init(
        proxy: ProxyID,
        site: SiteName,
        service: ServicePort,
        time: Timestamp,
        target: SiteName,
        pathCost: PathCost?,
        hops: [Hop],
        stream: Answer
    ) {
        self.proxy = proxy
        self.site = site
        self.service = service
        self.time = time
        self.target = target
        self.pathCost = pathCost
        self.hops = hops
        self.stream = stream
    }

    package struct Hop: Codable, Equatable, Sendable {
        package var proxy: ProxyID
        package var site: SiteName
        package var answer: Answer

        package init(proxy: ProxyID, site: SiteName, answer: Answer) {
            self.proxy = proxy
            self.site = site
            self.answer = answer
        }
    }

    package struct Answer: Codable, Equatable, Sendable {
        /// It is as it should be: a hop is there, or the stream was opened.
        package var isGood: Bool
        /// `Answered`, `Opened`, or what went wrong, by whose word.
        package var reason: String
        /// Until the answer came; nil when none did.
        package var microseconds: Int64?

        package init(isGood: Bool, reason: String, microseconds: Int64?) {
            self.isGood = isGood
            self.reason = reason
            self.microseconds = microseconds
        }
    }
}
