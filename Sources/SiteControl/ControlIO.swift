package import Balancing
package import NetworkModel
package import ProxyContract
package import Routing
package import Wire

/// Everything that can happen to the control of one proxy.
package enum ControlInput: Equatable, Sendable {
    // What the process tells.

    /// Every loop stands; the first input.
    case start
    /// `localAddresses`: those of this host's interfaces.
    case configuration(ConfigurationDocument, localAddresses: Set<IPAddress>)
    /// Why the newest configuration could not be used.
    case configurationFailed(String)
    /// Later advertisements carry these; both are public.
    case credentials(certificateChain: [[UInt8]], agreementKey: [UInt8])
    /// The servers behind the core Service of this name, all of them.
    case endpoints(String, [LocalEndpoint])
    case drain
    /// The delay of the drain is over: every listener is closed, what is open goes on.
    case stopListening
    /// The last step of a drain: streams from elsewhere are refused.
    case stopStreams
    /// The end: nobody may take what this proxy said for the word of one that lives.
    case stop

    // What loops tell.

    /// An accepted lane has said HELLO and waits for a verdict.
    case candidate(LaneCandidate)
    /// An admitted lane is in place on its loop and open for streams.
    case welcomed(LaneID)
    /// A lane that this proxy dialed has exchanged HELLOs and is open for streams.
    case dialed(LaneCandidate)
    /// Streams that cross this lane have proved bulky, and want a lane for bulk beside it.
    case bulkLaneWanted(LaneID)
    case ended(LaneID, LaneEnd, wasUp: Bool, LaneFigures)
    case frame(FrameType, [UInt8], from: ProxyID, on: LaneID)
    /// A loop could not open a port for lanes (with the reason), or has it open now.
    case lanePort(LanePort, loop: Int, failure: String?)
    /// Likewise a place for clients.
    case clientPlace(ListenPlace, loop: Int, failure: String?)
    /// Connections of some services came, went or failed.
    case countsChanged
    /// Every loop knows what was published with this number, and all before.
    case viewSeen(UInt64)

    // What was asked for.

    /// How services stand: after `report`, and after whatever else concerned them.
    case services([ServiceReport])
    /// The answer to `measure`.
    case measured([LaneID: LaneFigures], shortages: [HostShortage])
    case resolved(Question, Answer)
    /// The answer to `sign`.
    case signed(SignedLSA)
    /// The answer to `verify`: it speaks for its origin.
    case verified(SignedLSA)
    /// The answer to `verify`: it does not, for this reason.
    case disbelieved(String)
    /// `nextDeadline` has passed.
    case deadline
}

/// What the shell has to do, in order, before the next input.
package enum ControlOutput: Equatable, Sendable {
    // Lanes.

    case dial(DialOrder)
    /// Hands the candidate on loop `on` to loop `destination`, where it is greeted with this HELLO.
    case admit(LaneID, on: Int, destination: Int, Hello)
    case refuse(LaneID, on: Int, LaneClosing)
    /// `on` nil: it is still being dialed, and only its loop knows it.
    case close(LaneID, on: Int?, LaneClosing)
    /// Nothing new is opened on it, and the neighbor is asked to do the same.
    case retire(LaneID, on: Int)
    /// Other heartbeats, announced with this HELLO.
    case retime(LaneID, Hello)
    case send(FrameType, [UInt8], on: LaneID, loop: Int)

    // Listeners, on every loop.

    case listenForLanes([LanePort])
    case listenForClients([ClientListener])

    // Questions.

    case resolve(Question)
    case sign(LSA)
    /// An advertisement as it came.
    case verify([UInt8])
    /// Report the services whose counts have changed.
    case report
    /// Tell the figures of all lanes, and what the host is short of.
    case measure

    // Services and what loops know.

    /// Answered with a report.
    case updateService(ServicePort, ServiceUpdate)
    /// What the site's other proxies have open; answered with a report.
    case setOthers(ServicePort, [SiteID: UInt64])
    /// The clients of other sites have so many connections open, per target.
    case setElsewhere(ServicePort, [SiteID: UInt64])
    case forgetService(ServicePort)
    /// Give every loop what it needs for streams, and with it other listeners (nil: as they are); answered with `viewSeen`.
    ///
    /// At once: a loop that listened for a service before it knew it would refuse whoever came in between.
    case publishView(UInt64, refusesStreams: Bool, listeners: [ClientListener]?)
    /// The agreement keys of gateways that came or have other ones now; nil: it is out of reach.
    case agree([ProxyID: [UInt8]?])
    /// Connections of these are reset.
    case reset([ServicePort])
    /// These proxies have ended for certain: nothing is to be expected of them.
    case ended(Set<ProxyID>)
    /// The tokens by which sites may come.
    case grants([GrantConfiguration])
    /// These sites may not dial any more: what their clients have open here ends, whatever the path.
    case revoked(Set<SiteID>)

    // What others see.

    case snapshot(ProxySnapshot)
    case ready(Bool)
    /// What lanes are accepted with.
    case health(HealthParameters)
    /// Bytes to plan with; nil: what the host allows.
    case memoryBudget(UInt64?)
    case account(SiteID, AccountChange)
    /// For people: something is wrong, or is right again.
    case log(String)
    /// For people who look closely.
    case note(String)
}

/// What the host of a proxy is short of.
package struct HostShortage: Hashable, Sendable, Codable {
    package let name: String
    /// What it means and what to do.
    package let explanation: String

    package init(name: String, explanation: String) {
        self.name = name
        self.explanation = explanation
    }
}

extension Turn {
    /// Tells people what the host is short of once, and once that it is over.
    mutating func tell(_ current: [HostShortage], since before: [HostShortage]) {
        for shortage in current where !before.contains(shortage) { log(shortage.explanation) }
        for shortage in before where !current.contains(shortage) {
            log("no longer: \(shortage.name) are short")
        }
    }
}

/// A name whose addresses are asked for.
package enum Question: Hashable, Sendable {
    /// An endpoint of a Link.
    case link(LinkName, attempt: UInt64, host: String)
    /// The own site's gateways.
    case inside(host: String)
    case server(host: String)

    package var host: String {
        switch self {
        case .link(_, _, let host), .inside(let host), .server(let host): host
        }
    }
}

/// What a look-up of a name gave, in the resolver's order.
package enum Answer: Hashable, Sendable {
    case addresses([IPAddress])
    /// Why there are none.
    case failed(String)
}

/// What a neighbor site holds of this proxy, or was denied.
package enum AccountChange: Hashable, Sendable {
    case lanes(Int)
    case proxies(Int)
    case services(Int)
    case deniedLane
    case deniedProxy
    case deniedServices
}

/// What the balancer of one service port has to be.
package struct ServiceUpdate: Equatable, Sendable {
    /// This site's servers.
    package var servers: [EndpointBalancer.Server]
    /// What routing, or a sidecar's gateways, say of other sites.
    package var targets: [Target]
    package var ways: [SiteID: Ways]
    /// This site is a target as well.
    package var isOffered: Bool
    package var timeouts: ServiceTimeouts
    /// Servers are told who the client is, by the PROXY protocol.
    package var introducesClients = false
    /// Clients' first bytes travel with OPEN.
    package var isEarly = false
    /// How this site's connections are spread.
    package var policy = BalancingPolicy.standard
    /// The sites whose clients may use this site's servers, this one among them; nil: all.
    package var allowedSites: Set<SiteID>?
}

/// How one service port stands, over all loops.
package struct ServiceReport: Equatable, Sendable {
    package var service: ServicePort
    package var targets: [Target] = []
    package var states: [TargetState] = []
    package var hasTarget = false
    /// Servers of this site that take connections, as far as is known.
    package var usableServers: UInt32 = 0
    /// Connections that are open to servers of this site, where they are reported to other sites.
    package var load: UInt64 = 0
    /// A connect to a server failed.
    package var hasDoubt = false
    /// Servers to which connections come back.
    package var ownServers: [Endpoint] = []
    /// Nothing is open, to no target and to no server.
    package var isIdle = true
    package var ownCounts: [SiteID: UInt64] = [:]
    package var counters: ServiceCounters
    /// Failovers and failbacks that were completed since the last report.
    package var records: [FailoverRecord] = []

    package init(_ service: ServicePort) {
        self.service = service
        counters = ServiceCounters(service: service)
    }
}
