import NetworkModel
package import Telemetry

/// What was measured of the connections of this proxy's clients to one target.
package struct TargetMeter: Equatable, Sendable {
    /// Seconds from a client's connection to the server that took it.
    package private(set) var connect = Distribution()
    /// Seconds from a client's connection to the first byte that its server sent.
    package private(set) var firstByte = Distribution()
    package var toServers: UInt64 = 0
    package var toClients: UInt64 = 0

    package init() {}

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
        guard bySite[site] != nil || bySite.count < Self.limit else { return }
        body(&bySite[site, default: TargetMeter()])
    }
}

extension Duration {
    var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}
