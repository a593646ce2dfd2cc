import NetworkModel
import ProxyContract

/// The services' part of the snapshot as it was built last, and which services have to be looked at again.
///
/// There may be thousands of services, and a change is of one.
struct ShownServices {
    /// What may change all services at once.
    struct Context: Equatable {
        var names: [SiteID: String]
        var links: [LinkConfiguration]

        init(names: [SiteID: String], links: [LinkConfiguration]) {
            self.names = names
            self.links = links
        }
    }

    /// Both in the order of the service ports.
    private(set) var services: [ServiceSnapshot] = []
    private(set) var counters: [ServiceCounters] = []

    private var stale: Set<ServicePort> = []
    /// When all were looked at last, and in which context; nil: all have to be looked at.
    private var looked: (at: Instant, context: Context)?
    /// What has to be looked at before the lists are up to date, the last one first.
    private var waiting: [ServicePort] = []
    /// The lists that take the place of those that are shown, while all are looked at.
    private var next: (services: [ServiceSnapshot], counters: [ServiceCounters])?
    /// Should a change ever go unnoticed, it is shown this late at the most.
    private static let patience: Duration = .seconds(60)

    mutating func mark(_ keys: Set<ServicePort>) { stale.formUnion(keys) }

    mutating func markAll() { looked = nil }

    /// Begins to bring both lists up to date, or goes on if that has begun; `all` are the ports that there are.
    mutating func begin(
        _ all: some Collection<ServicePort>,
        in context: Context,
        at now: Instant
    ) {
        if let looked, looked.context == context, now - looked.at < Self.patience {
            guard waiting.isEmpty else { return }
            waiting = stale.sorted(by: >)
        } else {
            waiting = all.sorted(by: >)
            next = ([], [])
            looked = (now, context)
        }
        stale = []
    }

    /// Looks at `limit` ports at most; `look` gives what is shown of one, nil for nothing.
    ///
    /// True when the lists are up to date.
    mutating func advance(
        _ limit: Int,
        look: (ServicePort) -> (service: ServiceSnapshot?, counters: ServiceCounters?)
    ) -> Bool {
        for _ in 0..<min(limit, waiting.count) {
            guard let key = waiting.popLast() else { break }
            let shown = look(key)
            if next != nil {
                if let service = shown.service { next?.services.append(service) }
                if let counters = shown.counters { next?.counters.append(counters) }
            } else {
                services.put(shown.service, at: key, by: \.service)
                counters.put(shown.counters, at: key, by: \.service)
            }
        }
        guard waiting.isEmpty else { return false }
        if let next { (services, counters) = next }
        next = nil
        return true
    }
}

extension Array {
    /// Puts an element in its place in the order of the keys, or takes away what is there.
    fileprivate mutating func put(
        _ element: Element?,
        at key: ServicePort,
        by name: (Element) -> ServicePort
    ) {
        let index = firstIndex(of: key, by: name)
        let isThere = index < endIndex && name(self[index]) == key
        replaceSubrange(index..<(isThere ? index + 1 : index), with: element.map { [$0] } ?? [])
    }
}
