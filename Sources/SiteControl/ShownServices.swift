package import NetworkModel
package import SiteConfiguration

/// The services' part of the snapshot as it was built last, and which services have to be looked at again.
///
/// There may be thousands of services, and a change is of one.
package struct ShownServices {
    /// What may change all services at once.
    package struct Context: Equatable {
        package var names: [SiteID: String]
        package var links: [LinkConfiguration]

        package init(names: [SiteID: String], links: [LinkConfiguration]) {
            self.names = names
            self.links = links
        }
    }

    /// Both in the order of the service ports.
    package private(set) var services: [ServiceSnapshot] = []
    package private(set) var counters: [ServiceCounters] = []

    private var stale: Set<ServicePort> = []
    /// When all were looked at last, and in which context; nil: all have to be looked at.
    private var looked: (at: Instant, context: Context)?
    /// Should a change ever go unnoticed, it is shown this late at the most.
    private static let patience: Duration = .seconds(60)

    package init() {}

    package mutating func mark(_ keys: Set<ServicePort>) { stale.formUnion(keys) }

    package mutating func markAll() { looked = nil }

    /// Brings both lists up to date.
    ///
    /// `all` are the ports that there are; `look` gives what is shown of one, nil for nothing.
    package mutating func refresh(
        _ all: some Collection<ServicePort>,
        in context: Context,
        at now: Instant,
        look: (ServicePort) -> (service: ServiceSnapshot?, counters: ServiceCounters?)
    ) {
        if let looked, looked.context == context, now - looked.at < Self.patience {
            for key in stale {
                let shown = look(key)
                services.put(shown.service, at: key, by: \.service)
                counters.put(shown.counters, at: key, by: \.service)
            }
        } else {
            let shown = all.sorted().map(look)
            services = shown.compactMap(\.service)
            counters = shown.compactMap(\.counters)
            looked = (now, context)
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
