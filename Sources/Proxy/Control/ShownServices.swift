import NetworkModel
import SiteConfiguration

/// The services' part of the snapshot as it was built last, and which services have to be looked at again.
///
/// There may be thousands of services, and a change is of one.
struct ShownServices {
    /// Both in the order of the service ports.
    private(set) var services: [ServiceSnapshot] = []
    private(set) var counters: [ServiceCounters] = []

    private var stale: Set<ServicePort> = []
    /// When all were looked at last; nil: all have to be looked at.
    private var lookedAt: Instant?
    /// Figures that nobody announces are shown this late at the most.
    private static let patience: Duration = .seconds(5)

    mutating func mark(_ keys: Set<ServicePort>) { stale.formUnion(keys) }

    mutating func markAll() { lookedAt = nil }

    /// Brings both lists up to date.
    ///
    /// `all` are the ports that there are; `look` gives what is shown of one, nil for nothing.
    mutating func refresh(
        _ all: some Collection<ServicePort>,
        at now: Instant,
        look: (ServicePort) -> (service: ServiceSnapshot?, counters: ServiceCounters?)
    ) {
        if let lookedAt, now - lookedAt < Self.patience {
            for key in stale {
                let shown = look(key)
                services.put(shown.service, at: key, by: \.service)
                counters.put(shown.counters, at: key, by: \.service)
            }
        } else {
            let shown = all.sorted().map(look)
            services = shown.compactMap(\.service)
            counters = shown.compactMap(\.counters)
            lookedAt = now
        }
        stale = []
    }
}

extension Array {
    /// Puts an element in its place in the order of the keys, or takes away what is there.
    fileprivate mutating func put(
        _ element: Element?,
        at key: ServicePort,
        by name: (Element) -> ServicePort
    ) {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if name(self[middle]) < key { low = middle + 1 } else { high = middle }
        }
        let isThere = low < endIndex && name(self[low]) == key
        replaceSubrange(low..<(isThere ? low + 1 : low), with: element.map { [$0] } ?? [])
    }
}
