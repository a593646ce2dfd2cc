package import NetworkModel
import Routing
import Streaming
import Synchronization

/// What a neighbor site makes this proxy hold.
///
/// Each has one answer when the site's share of it is used up.
enum NeighborResource: Int, CaseIterable, Sendable {
    /// Established lanes with the site's proxies. Beyond: the lane is refused.
    case lanes
    /// Proxies of the site with which there is an adjacency. Beyond: the lane is refused.
    case instances
    /// Streams that the site's proxies opened and that end or pass here. Beyond: OPEN is refused.
    case streams
    /// Sockets of servers that were connected for the site's streams. Beyond: OPEN is refused.
    case descriptors
    /// Bytes that rings hold for streams to and from the site. Beyond: reading pauses; bytes that came reset their stream.
    case ringBytes
    /// KiB of frames of the adjacency that were handed to loop 0 and are not done. Beyond: the lane is not read.
    case controlFrames
    /// Replay windows of the ingress proxies that the site's gateways sign for. Beyond: the one used longest ago is forgotten.
    case replayWindows
    /// Services that the site's advertisements name. Beyond: an advertisement is not believed.
    case services

    /// As a metric's label.
    var name: String { "\(self)" }
}

/// One neighbor site's share of what this proxy has: whatever is held for that site is drawn from it.
///
/// Shared by all loops. A share bounds one site, so that it cannot take another's; the bounds of the whole process stay.
final class NeighborAccount: Sendable {
    let site: SiteID
    /// What loops know it by.
    let number: AccountNumber
    private let meters: [Meter]

    private final class Meter: Sendable {
        let share: Int
        let used = Atomic<Int>(0)
        let denied = Atomic<UInt64>(0)

        init(share: Int) { self.share = share }
    }

    init(site: SiteID, number: AccountNumber, shares: NeighborShares) {
        self.site = site
        self.number = number
        meters = NeighborResource.allCases.map { Meter(share: shares[$0]) }
    }

    private subscript(resource: NeighborResource) -> Meter { meters[resource.rawValue] }

    /// Draws `count`; false, and nothing is drawn, when that would exceed the share.
    func take(_ resource: NeighborResource, _ count: Int = 1) -> Bool {
        let meter = self[resource]
        let new = meter.used.wrappingAdd(count, ordering: .relaxed).newValue
        guard new > meter.share else { return true }
        meter.used.wrappingSubtract(count, ordering: .relaxed)
        deny(resource)
        return false
    }

    /// Draws `count` whatever the share is: for what has been accepted already.
    func add(_ resource: NeighborResource, _ count: Int = 1) {
        self[resource].used.wrappingAdd(count, ordering: .relaxed)
    }

    /// What is held now, as somebody else counts it.
    func set(_ resource: NeighborResource, to count: Int) {
        self[resource].used.store(count, ordering: .relaxed)
    }

    /// Gives back what was drawn.
    func give(_ resource: NeighborResource, _ count: Int = 1) {
        self[resource].used.wrappingSubtract(count, ordering: .relaxed)
    }

    /// Counts one refusal for want of this resource.
    func deny(_ resource: NeighborResource) {
        self[resource].denied.wrappingAdd(1, ordering: .relaxed)
    }

    /// True while `count` more fit.
    func hasRoom(_ resource: NeighborResource, for count: Int = 1) -> Bool {
        used(resource) + count <= share(resource)
    }

    func used(_ resource: NeighborResource) -> Int {
        self[resource].used.load(ordering: .relaxed)
    }

    func share(_ resource: NeighborResource) -> Int { self[resource].share }

    func denied(_ resource: NeighborResource) -> UInt64 {
        self[resource].denied.load(ordering: .relaxed)
    }

    /// Every resource of which something is, or was, held or denied.
    var usage: [NeighborUsage] {
        NeighborResource.allCases.map { resource in
            NeighborUsage(
                site: site,
                resource: resource.name,
                used: used(resource),
                share: share(resource),
                denied: denied(resource)
            )
        }
        .filter { $0.used != 0 || $0.denied > 0 }
    }
}

extension NeighborAccount: RingAccount {
    func add(ringBytes count: Int) { add(.ringBytes, count) }
    func give(ringBytes count: Int) { give(.ringBytes, count) }
    var isHalfUsed: Bool { used(.ringBytes) > share(.ringBytes) / 2 }

    func admits(ringBytes count: Int) -> Bool {
        if hasRoom(.ringBytes, for: count) { return true }
        deny(.ringBytes)
        return false
    }
}

/// One resource of one account, for metrics.
package struct NeighborUsage: Hashable, Sendable {
    package let site: SiteID
    package let resource: String
    package let used: Int
    package let share: Int
    package let denied: UInt64
}

/// How much of each resource one site may hold.
struct NeighborShares: Sendable {
    private var values: [Int]

    subscript(resource: NeighborResource) -> Int {
        get { values[resource.rawValue] }
        set { values[resource.rawValue] = newValue }
    }

    /// For a site on a Link; `descriptors` are those of the process.
    init(descriptors: DescriptorShares) {
        values = Array(repeating: 0, count: NeighborResource.allCases.count)
        self[.lanes] = max(16, min(256, descriptors.lanes / 4))
        self[.instances] = 64
        self[.streams] = 32_768
        self[.descriptors] = descriptors.relays / 2
        self[.ringBytes] = 48 << 20
        self[.controlFrames] = 1_024
        self[.replayWindows] = ReplayGuard.Limits().site
        self[.services] = RoutingLimits.servicesPerSite
    }

    /// For this site itself: its gateways and its sidecars, of which there may be many.
    static func own(_ descriptors: DescriptorShares) -> NeighborShares {
        var shares = NeighborShares(descriptors: descriptors)
        shares[.lanes] = descriptors.lanes
        shares[.instances] = 4_096
        shares[.streams] = 131_072
        shares[.descriptors] = descriptors.relays
        shares[.ringBytes] = 256 << 20
        shares[.controlFrames] = 16_384
        return shares
    }
}

/// The accounts of all sites that are, or lately were, neighbors; shared by all loops.
final class NeighborAccounts: Sendable {
    private let own: SiteID
    private let descriptors: DescriptorShares
    private let accounts = Mutex<[SiteID: NeighborAccount]>([:])

    init(own: SiteID, descriptors: DescriptorShares = .ofProcess) {
        self.own = own
        self.descriptors = descriptors
    }

    /// The account of `site`, made when there is none.
    ///
    /// Only for a site that was let in: it stays.
    func account(of site: SiteID) -> NeighborAccount {
        accounts.withLock { accounts in
            if let known = accounts[site] { return known }
            let shares =
                site == own
                ? NeighborShares.own(descriptors) : NeighborShares(descriptors: descriptors)
            let number = AccountNumber(value: AccountNumber.strangers.value + 1 + accounts.count)
            let account = NeighborAccount(site: site, number: number, shares: shares)
            accounts[site] = account
            return account
        }
    }

    /// The account of `site`, if it was let in before.
    func known(_ site: SiteID) -> NeighborAccount? { accounts.withLock { $0[site] } }

    /// In the order of the identities.
    var all: [NeighborAccount] {
        accounts.withLock { $0.values.sorted { $0.site < $1.site } }
    }
}
