package import NetworkModel

/// What two routing instances say to each other over an adjacency; each case is one frame of `Wire`.
package enum RoutingMessage: Hashable, Sendable {
    /// A signed LSA as its origin encoded it.
    case lsa([UInt8])
    /// "I hold each of these, or a newer one": at most `RoutingLimits.headersPerMessage`.
    case acknowledgment([LSAHeader])
    case summary(LSASummary)
    /// Answers a summary by its number, with what the sender of the acknowledgment wants to be sent.
    case summaryAcknowledgment(number: UInt32, wanted: [LSAKey])
}

/// Everything that can happen to a routing instance.
package enum RoutingInput: Sendable {
    /// The site's name and the costs of its Links changed, or the proxy drains.
    case configure(RoutingConfiguration)
    /// The credentials changed: later LSAs carry this.
    case credentials(certificateChain: [[UInt8]], agreementKey: [UInt8])
    /// The edges to a neighbor, all of them; empty: the adjacency is gone.
    case adjacency(neighbor: ProxyID, edges: [EdgeName])
    /// The ready endpoints of this site per service port, all of them.
    case services([ServicePort: UInt32])
    /// Connections that are open to this gateway's servers, of the service ports that report them; all of them.
    case loads([ServicePort: UInt64])
    /// Which service ports of others somebody here uses.
    case interest(ServiceInterest)
    /// This gateway ends: its last advertisement names no edge.
    case withdraw
    /// The shell's answer to `RoutingOutput.sign`.
    case signed(SignedLSA)
    /// An LSA from a neighbor. Its signature was verified and its certificate is a gateway's of the origin's site.
    case received(SignedLSA, from: ProxyID)
    /// The header of an LSA for which `isNews` said no: acknowledged without having been verified.
    case receivedKnown(LSAHeader, from: ProxyID)
    case acknowledged([LSAHeader], from: ProxyID)
    case summary(LSASummary, from: ProxyID)
    case summaryAcknowledged(number: UInt32, wanted: [LSAKey], from: ProxyID)
    /// `nextDeadline` has passed.
    case deadline
}

/// What the shell has to do, in order, before the next input.
package enum RoutingOutput: Equatable, Sendable {
    /// Sign this with the leaf's key and hand it back with `RoutingInput.signed`.
    case sign(LSA)
    case send(RoutingMessage, to: ProxyID)
    /// The new table, and where it differs from the one before.
    case routesChanged(RouteTable, RouteChanges)
    /// Other numbers of connections are reported of these service ports (`loads(of:)`).
    case loadsChanged(Set<ServicePort>)
}

/// What a routing instance is told by the site's configuration.
package struct RoutingConfiguration: Equatable, Sendable {
    package var displayName: String
    package var linkCosts: [LinkName: LinkCost]
    /// What Links cost for single services, where they say so.
    package var serviceCosts: [LinkName: [ServiceAddress: LinkCost]]
    /// True while draining.
    package var overload: Bool

    package init(
        displayName: String = "",
        linkCosts: [LinkName: LinkCost] = [:],
        serviceCosts: [LinkName: [ServiceAddress: LinkCost]] = [:],
        overload: Bool = false
    ) {
        self.displayName = displayName
        self.linkCosts = linkCosts
        self.serviceCosts = serviceCosts
        self.overload = overload
    }
}

/// The bounds and paces of routing.
package enum RoutingLimits {
    package static let origins = 8_192
    /// Gateways of one site that are believed at a time, those included that are gone and not yet forgotten.
    package static let originsPerSite = 64
    /// Bytes of advertisements that are held of one site.
    package static let bytesPerSite = 4 << 20
    /// Services that all advertisements of one site may name together: some 16,000 of a site with two gateways.
    package static let servicesPerSite = 32_768
    /// Seconds for which an advertisement is believed; it is renewed when a third has passed.
    package static let lifetime: UInt32 = 1_800
    /// No origin may ask to be believed for longer.
    package static let longestLifetime: UInt32 = 3_600
    /// Seconds by which clocks may differ, as for certificates.
    package static let clockSlack: Int64 = 300
    /// Sequence numbers that are remembered of one site's gateways which were forgotten.
    package static let floorsPerSite = 256
    package static let fragmentsPerOrigin = 64
    package static let edgesPerFragment = 512
    /// Processes that a gateway was before, as far as it says so.
    package static let predecessors = 4
    package static let servicesPerFragment = 512
    package static let headersPerMessage = 512
    /// Hops of a route, the egress included; the one bound of computed routes and of the frames that carry them.
    package static let hops = 16
    /// LSAs sent to one neighbor and not yet acknowledged.
    package static let unacknowledged = 64
    package static let retransmission: Duration = .seconds(1)
    /// Neighbors compare their databases this often, besides when their adjacency comes up.
    package static let comparison: Duration = .seconds(60)
    /// How often one neighbor may have the databases compared; the burst is a database of 16,000 advertisements.
    ///
    /// What it sends beyond that is answered when it comes again.
    package static let comparisonsPerSecond = 2
    package static let comparisonBurst = 32
    /// How long an unreachable origin is remembered.
    package static let memory: Duration = .seconds(60)
    /// Changed endpoint counts wait this long for others; to and from zero they do not wait.
    package static let countBatch: Duration = .milliseconds(100)
    /// Service ports whose connections one gateway reports.
    package static let loads = 256
    /// A number of connections is reported anew when it has moved by more than this part of it.
    package static let loadStep: UInt64 = 64
    package static let originationsPerSecond = 10
    package static let originationBurst = 20
    /// At what pace newer advertisements of one origin are taken: a little above the pace at which it may make them,
    /// as the way here bunches them.
    package static let arrivalsPerSecond = 15
    package static let arrivalBurst = 30
    /// At what pace fragments of one site are taken of which none was held; the burst is four long advertisements.
    package static let newcomersPerSecond = 50
    package static let newcomerBurst = 256
    /// Paths of equal cost that are kept to a gateway, and to a target; of a target with more gateways one for each.
    package static let equalPaths = 8
    /// Routes of one target that are dearer than its cheapest ones.
    package static let detoursPerTarget = 7
    /// Different sets of service costs that ways are worked out for; what services have beyond them is not gone by.
    package static let costProfiles = 32
    /// For how many groups of gateways, behind the same transit proxies, a way around these is looked for.
    package static let detourGroups = 8
}
