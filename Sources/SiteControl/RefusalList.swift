import NetworkModel
import ProxyContract

/// The links that were refused lately, for status, and when to say so in the log.
///
/// Anybody can make identities: whoever comes from one address with ever new ones gets few places, and one line of the
/// log per cause and period. Pure.
struct RefusalList {
    static let limit = 16
    private static let perAddress = 4
    private static let logInterval: Duration = .seconds(10)

    private struct Entry {
        var link: RefusedLink
        let address: IPAddress
    }

    /// The oldest first.
    private var entries: [Entry] = []
    private var logged: [LinkSnapshot.Reason: (next: Instant, left: Int)] = [:]

    var links: [RefusedLink] { entries.map(\.link) }

    /// Adds one attempt; true when the site was not refused for this reason before, as far as is known.
    mutating func add(
        _ site: SiteName,
        _ reason: LinkSnapshot.Reason,
        from address: IPAddress,
        time: Timestamp
    ) -> Bool {
        let earlier = entries.firstIndex { $0.link.site.id == site.id && $0.link.reason == reason }
        let attempts = earlier.map { entries.remove(at: $0).link.attempts } ?? 0
        let link = RefusedLink(site: site, reason: reason, time: time, attempts: attempts + 1)
        entries.append(Entry(link: link, address: address))
        if entries.count(where: { $0.address == address }) > Self.perAddress {
            drop { $0.address == address }
        } else if entries.count > Self.limit {
            drop { _ in true }
        }
        return attempts == 0
    }

    /// The oldest of those that tried once goes first: whoever is refused again and again is there for people to see.
    private mutating func drop(_ isCandidate: (Entry) -> Bool) {
        let candidates = entries.indices.dropLast().filter { isCandidate(entries[$0]) }
        let index = candidates.first { entries[$0].link.attempts == 1 } ?? candidates.first
        if let index { entries.remove(at: index) }
    }

    /// How many were left out since the last line of this cause; nil: leave this one out as well.
    mutating func mayLog(_ reason: LinkSnapshot.Reason, at now: Instant) -> Int? {
        if let known = logged[reason], now < known.next {
            logged[reason]?.left += 1
            return nil
        }
        let left = logged[reason]?.left ?? 0
        logged[reason] = (now + Self.logInterval, 0)
        return left
    }
}
