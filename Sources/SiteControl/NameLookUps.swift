import NetworkModel

/// When each name of a server is looked up, and what was found; pure.
///
/// Every 30 s; soon after a connect to one of its addresses has failed; and while it does not resolve after 1, 2, 4 ... 30 s.
/// The time for which a record holds does not count: getaddrinfo does not tell it. A name that does not resolve keeps its
/// last addresses.
struct NameLookUps {
    private struct Name {
        /// In the resolver's order: the family that is preferred comes first.
        var addresses: [IPAddress] = []
        var failure: Failure?
        var failures = 0
        var isAsking = false
        var askedAt: Instant?
        var next: Instant
    }

    /// Why a name does not resolve, and since when.
    struct Failure: Equatable {
        let reason: String
        let since: Instant
    }

    private var names: [String: Name] = [:]
    static let interval: Duration = .seconds(30)
    private static let doubtInterval: Duration = .seconds(2)
    private static let addressLimit = 64

    func addresses(of name: String) -> [IPAddress] { names[name]?.addresses ?? [] }
    func failure(of name: String) -> Failure? { names[name]?.failure }

    /// Follows exactly these names.
    mutating func watch(_ wanted: Set<String>, at now: Instant) {
        names = names.filter { wanted.contains($0.key) }
        for name in wanted where names[name] == nil { names[name] = Name(next: now) }
    }

    /// When the next name is due; nil while there is none.
    var next: Instant? { names.values.filter { !$0.isAsking }.map(\.next).min() }

    /// The names to look up now; each is answered once.
    mutating func takeDue(at now: Instant) -> [String] {
        let due = names.filter { !$0.value.isAsking && $0.value.next <= now }.keys.sorted()
        for name in due {
            names[name]?.isAsking = true
            names[name]?.askedAt = now
        }
        return due
    }

    /// Servers of these names do not answer: they may be elsewhere.
    mutating func doubt(_ doubted: Set<String>, at now: Instant) {
        for name in doubted {
            guard let asked = names[name]?.askedAt, now - asked > Self.doubtInterval else {
                continue
            }
            names[name]?.next = now
        }
    }

    /// True when the name's addresses are others than before.
    mutating func answer(
        _ name: String,
        _ answer: Answer,
        at now: Instant
    ) -> Bool {
        guard var known = names[name] else { return false }
        defer { names[name] = known }
        known.isAsking = false
        var found: [IPAddress] = []
        var reason = "no address"
        switch answer {
        case .addresses(let addresses): found = Array(addresses.prefix(Self.addressLimit))
        case .failed(let why): reason = why
        }
        guard !found.isEmpty else {
            known.failure = Failure(reason: reason, since: known.failure?.since ?? now)
            let wait = Duration.seconds(1 << min(known.failures, 5))
            known.next = now + min(wait, Self.interval)
            known.failures += 1
            return false
        }
        known.failure = nil
        known.failures = 0
        known.next = now + Self.interval
        defer { known.addresses = found }
        return Set(found) != Set(known.addresses)
    }
}

/// The servers behind the addresses of one name.
enum NamedServers {
    /// Each server with its addresses, the preferred one first.
    ///
    /// The addresses of the two families are ways to the same servers, as nearly every name has them; several addresses of
    /// one family are several servers. The resolver's first address says which family is preferred.
    static func group(_ addresses: [IPAddress]) -> [[IPAddress]] {
        guard let first = addresses.first else { return [] }
        let preferred = addresses.filter { $0.isV4 == first.isV4 }.sorted()
        let others = addresses.filter { $0.isV4 != first.isV4 }.sorted()
        return (0..<max(preferred.count, others.count)).map { index in
            (index < preferred.count ? [preferred[index]] : [])
                + (index < others.count ? [others[index]] : [])
        }
    }
}
