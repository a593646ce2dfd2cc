package import NetworkModel
import SiteControl
import Synchronization
import Wire

/// What the lanes of one link carried, as one proxy measured it.
package struct LinkMeter: Hashable, Sendable {
    /// Whose lanes they are.
    package struct Link: Hashable, Sendable {
        package var remote: SiteID
        /// Nil: the other site dials.
        package var name: LinkName?

        package init(remote: SiteID, name: LinkName?) {
            self.remote = remote
            self.name = name
        }
    }

    package var link: Link
    /// Lanes that are up, those for bulk apart.
    package var lanes = 0
    package var bulkLanes = 0
    package var sentBytes: UInt64 = 0
    package var receivedBytes: UInt64 = 0

    package init(_ link: Link) { self.link = link }
}

/// The meters of all links, which the loops add to.
final class LinkMeters: Sendable {
    private let meters = Mutex<[LinkMeter.Link: LinkMeter]>([:])
    /// Links of the past are kept, for their bytes; more are not measured.
    private static let limit = 4_096

    var all: [LinkMeter] { meters.withLock { Array($0.values) } }

    func change(_ link: LinkMeter.Link, _ body: (inout LinkMeter) -> Void) {
        meters.withLock { meters in
            guard meters[link] != nil || meters.count < Self.limit else { return }
            body(&meters[link, default: LinkMeter(link)])
        }
    }
}

/// One lane's part in the meter of its link.
struct LaneMeter {
    private let link: LinkMeter.Link
    private let meters: LinkMeters
    private let isBulk: Bool
    private var sent: UInt64 = 0
    private var received: UInt64 = 0

    /// The lane is up; nil for one that is of no link.
    init?(
        _ purpose: LanePurpose,
        dialed hello: Hello?,
        to remote: SiteID,
        isBulk: Bool,
        _ meters: LinkMeters
    ) {
        guard purpose == .link else { return nil }
        link = LinkMeter.Link(remote: remote, name: hello?.link)
        self.meters = meters
        self.isBulk = isBulk
        count(1)
    }

    /// Counts what was moved since the last time.
    mutating func update(sent: UInt64, received: UInt64) {
        let (more, came) = (sent - self.sent, received - self.received)
        (self.sent, self.received) = (sent, received)
        guard more + came > 0 else { return }
        meters.change(link) {
            $0.sentBytes += more
            $0.receivedBytes += came
        }
    }

    /// The lane is not up any more.
    func end() { count(-1) }

    private func count(_ change: Int) {
        meters.change(link) { meter in
            if isBulk { meter.bulkLanes += change } else { meter.lanes += change }
        }
    }
}
