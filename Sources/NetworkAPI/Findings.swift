import NetworkModel

/// Collects what is wrong with one object.
struct Findings {
    let object: FoundObject
    private(set) var list: [Finding] = []

    init(_ kind: ObjectKind, _ name: String) { object = FoundObject(kind: kind, name: name) }

    mutating func add(
        _ field: String,
        reason: Reason = .invalid,
        condition: ConditionType = .accepted,
        _ message: String
    ) {
        list.append(
            Finding(
                object: object,
                field: field,
                condition: condition,
                reason: reason,
                message: message
            )
        )
    }

    /// Takes `value` if it is within `range`, else `fallback`, with a finding.
    mutating func check<Value: Comparable & CustomStringConvertible>(
        _ value: Value?,
        in range: ClosedRange<Value>,
        else fallback: Value,
        _ field: String
    ) -> Value {
        guard let value else { return fallback }
        guard range.contains(value) else {
            add(
                field,
                "\(field) must be from \(range.lowerBound) to \(range.upperBound), not \(value)"
            )
            return fallback
        }
        return value
    }

    /// Takes the duration if it is within `range` (or zero, where that means something), else `fallback`, with a finding.
    mutating func check(
        _ value: APIDuration?,
        in range: ClosedRange<Duration>,
        zero meaning: String? = nil,
        else fallback: Duration,
        _ field: String
    ) -> Duration {
        guard let duration = value?.duration else { return fallback }
        if meaning != nil, duration == .zero { return duration }
        guard range.contains(duration) else {
            let zero = meaning.map { "0s (\($0)) or " } ?? ""
            add(
                field,
                "\(field) must be \(zero)from \(APIDuration(range.lowerBound)) to "
                    + "\(APIDuration(range.upperBound)), not \(APIDuration(duration))"
            )
            return fallback
        }
        return duration
    }

    mutating func checkHost(_ host: String, _ field: String) {
        if let problem = HostText.problem(host) { add(field, problem) }
    }

    mutating func checkPort(_ port: UInt16, _ field: String) {
        if port == 0 { add(field, "\(field) must be from 1 to 65535, not 0") }
    }
}

/// The bounds of names, in words.
enum DNSBounds {
    static let label = "at most 63 of a-z, 0-9 and \"-\", which neither begins nor ends it"
    static let name = "labels of \(label), at most 253 characters with the dots"
}

/// The bounds of the API, the same as in the custom resource definitions.
enum Bounds {
    static let replicas: ClosedRange<Int32> = 0...32
    static let loops: ClosedRange<Int32> = 0...8
    static let delay: ClosedRange<Duration> = .zero ... .seconds(300)
    static let grace: ClosedRange<Duration> = .zero ... .seconds(24 * 3600)
    static let heartbeat: ClosedRange<Duration> = .milliseconds(50) ... .seconds(30)
    static let misses: ClosedRange<Int32> = 2...100
    static let connect: ClosedRange<Duration> = .milliseconds(50) ... .seconds(60)
    /// The upper end is what the configuration's milliseconds and the loops' timers hold with ease.
    static let silence: ClosedRange<Duration> = .seconds(1) ... .seconds(366 * 24 * 3600)
    static let endpoints = 16
    /// Services that one Link has a cost of its own for.
    static let serviceCosts = 64
    /// The most that a Link costs by its round-trip time where nothing is said.
    static let measuredCost = LinkCost(1_000) ?? .standard
    /// A gateway takes a lane of so many Links of one neighbor at least (`Admission.linksPerNeighbor`).
    static let parallelLinks = 8
    static let ports = 16
    static let hosts = 64
    static let allow = 1024
    /// Sites that one list of a Service names.
    static let sites = 256
    static let tiers = 16
}
