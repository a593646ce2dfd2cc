import Foundation
import NetworkModel
import Routing
import TestSupport
import Testing

/// How many random networks a test tries: `few`, unless `hack/routing.sh` asks for more.
func networkCount(_ few: Int) -> Int {
    ProcessInfo.processInfo.environment["TIELINE_TEST_NETWORKS"].flatMap { Int($0) } ?? few
}

func gateway(_ index: Int, _ instance: UInt64 = 1) -> ProxyID {
    ProxyID(site: site(index), instance: instance)
}

func service(_ text: String) -> ServicePort {
    guard let service = ServicePort(text) else { preconditionFailure("\(text) is not a service") }
    return service
}

func link(_ text: String) -> LinkName {
    guard let name = LinkName(text) else { preconditionFailure("\(text) is not a Link name") }
    return name
}

func cost(_ value: Int) -> LinkCost {
    guard let cost = LinkCost(Int32(value)) else { preconditionFailure("\(value) is no cost") }
    return cost
}

/// What the wall clock says when every clock of a test is right.
func wall(_ now: Instant) -> Int64 { 1_700_000_000 + Int64(now.nanoseconds / 1_000_000_000) }

extension RoutingInstance {
    /// With a wall clock that is right.
    mutating func handle(_ input: RoutingInput, at now: Instant) -> [RoutingOutput] {
        handle(input, at: now, wall: wall(now))
    }
}

extension Instant {
    static func milliseconds(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: UInt64(milliseconds) * 1_000_000)
    }
}
