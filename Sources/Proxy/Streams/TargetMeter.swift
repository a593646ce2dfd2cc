package import NetworkModel
package import Telemetry

/// What was measured of the connections of this proxy's clients to one target.
package struct TargetMeter: Equatable, Sendable {
    /// Seconds from a client's connection to the server that took it.
    package private(set) var connect = Distribution()
    /// Seconds from a client's connection to the first byte that its server sent.
    package private(set) var firstByte = Distribution()
    package var toServers: UInt64 = 0
    package var toClients: UInt64 = 0
    /// Connections that lost their path and went on over another one, and those that were reset.
    package var resumed: UInt64 = 0
    package var lost: UInt64 = 0
    /// How often connections went over to this target, from which one and why.
    package var failovers: [Failover: UInt64] = [:]

    package struct Failover: Hashable, Sendable {
        package let from: SiteID
        package let reason: FailoverReason

        package init(from: SiteID, reason: FailoverReason) {
            self.from = from
            self.reason = reason
        }
    }

    package init() {}

    mutating func failedOver(_ record: FailoverRecord) {
        failovers[Failover(from: record.from, reason: record.reason), default: 0] += 1
    }

    mutating func connected(after time: Duration) { connect.observe(time.inSeconds) }
    mutating func answered(after time: Duration) { firstByte.observe(time.inSeconds) }
}

/// Bytes of one connection, in both directions.
struct MovedBytes: Equatable, Sendable {
    var toServer: UInt64 = 0
    var toClient: UInt64 = 0
}

/// The meters of a service port by target.
struct TargetMeters: Sendable {
    private(set) var bySite: [SiteID: TargetMeter] = [:]
    /// More sites than a network has; what comes after is not measured.
    private static let limit = 1_024

    mutating func change(_ site: SiteID, _ body: (inout TargetMeter) -> Void) {
        if let index = bySite.index(forKey: site) {
            body(&bySite.values[index])
        } else if bySite.count < Self.limit {
            body(&bySite[site, default: TargetMeter()])
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}
