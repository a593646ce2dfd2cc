import NetworkModel
import ProxyContract
import Wire

/// Who this proxy is to its neighbors, and the lanes that it dials to them.
struct DialDesk: Sendable {
    /// Who asked for a lane.
    enum Owner: Hashable, Sendable {
        case link(LinkName)
        case inside(IPAddress)
    }

    let own: ProxyID
    let role: ProxyRole
    let loops: Int
    var siteName: SiteName
    var health = HealthParameters.standard
    /// For the jitter of back-offs.
    var random: SplitMix64
    /// Lanes that were dialed, until they end.
    private var owners: [LaneID: Owner] = [:]
    private var dialed: UInt64 = 0

    init(own: ProxyID, role: ProxyRole, loops: Int, seed: UInt64) {
        self.own = own
        self.role = role
        self.loops = loops
        siteName = SiteName(id: own.site)
        random = SplitMix64(seed: seed)
    }

    /// What this proxy greets with on a lane of `link`, or within its site.
    func hello(for link: LinkConfiguration?) -> Hello {
        let health = link?.health ?? self.health
        return Hello(
            proxy: own,
            isSidecar: role == .sidecar,
            loops: loops,
            name: siteName.name,
            link: link?.name,
            heartbeat: health.heartbeat,
            misses: health.misses,
            resumeGrace: link?.resumeGrace
        )
    }

    /// How many lanes this proxy and a neighbor with so many loops want between them.
    func wantedLanes(_ hello: Hello) -> Int { min(max(hello.loops, loops), Self.laneLimit) }

    private static let laneLimit = 8

    /// Dials one lane for a Link.
    mutating func dial(
        _ endpoint: Endpoint,
        for link: LinkConfiguration,
        slot: Int,
        _ turn: inout Turn
    ) -> LaneID {
        let order = DialOrder(
            id: makeID(for: .link(link.name)),
            loop: slot % loops,
            purpose: .link,
            endpoint: endpoint,
            health: link.health,
            expectedSites: link.remoteSites,
            hello: hello(for: link),
            token: link.token
        )
        turn.outputs.append(.dial(order))
        return order.id
    }

    /// Dials one lane for bulk beside another one of a Link, from the same loop to the same address.
    mutating func dial(
        beside lane: AdjacencyTable.LaneEntry,
        _ number: UInt64,
        for link: LinkConfiguration,
        _ turn: inout Turn
    ) -> LaneID {
        var hello = hello(for: link)
        hello.lane = number
        let order = DialOrder(
            id: makeID(for: .link(link.name)),
            loop: lane.loop,
            purpose: .link,
            endpoint: lane.remote,
            health: link.health,
            expectedSites: link.remoteSites,
            hello: hello
        )
        turn.outputs.append(.dial(order))
        return order.id
    }

    /// Dials one lane to a gateway of the own site.
    mutating func dialInside(_ endpoint: Endpoint, number: Int, _ turn: inout Turn) -> LaneID {
        let order = DialOrder(
            id: makeID(for: .inside(endpoint.address)),
            loop: number % loops,
            purpose: .inside,
            endpoint: endpoint,
            health: health,
            expectedSites: [own.site],
            hello: hello(for: nil)
        )
        turn.outputs.append(.dial(order))
        return order.id
    }

    private mutating func makeID(for owner: Owner) -> LaneID {
        let id = LaneID(number: dialed * 2 + 1)
        dialed += 1
        owners[id] = owner
        return id
    }

    func owner(of id: LaneID) -> Owner? { owners[id] }

    mutating func ended(_ id: LaneID) -> Owner? { owners.removeValue(forKey: id) }
}

/// A small generator whose state is a value: the same seed, the same jitter.
struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
