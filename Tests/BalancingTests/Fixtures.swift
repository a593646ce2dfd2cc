import Balancing
import NetworkModel
import TestSupport
import Testing

func service(_ text: String = "backend/http") -> ServicePort {
    guard let service = ServicePort(text) else { preconditionFailure("\(text) is not a service") }
    return service
}

extension Instant {
    static func seconds(_ seconds: Double) -> Instant {
        Instant(nanoseconds: UInt64(seconds * 1e9))
    }
}

extension ServiceBalancer {
    /// A balancer over (site number, cost, weight).
    init(_ targets: [(site: Int, cost: UInt32, weight: UInt32)]) {
        self.init(service: BalancingTests.service())
        update(
            targets.map {
                Target(
                    site: site($0.site),
                    reach: .usable(cost: PathCost($0.cost), endpoints: $0.weight)
                )
            },
            at: .seconds(0)
        )
    }

    /// Opens `count` connections one by one and holds them; how many each site got.
    mutating func hold(_ count: Int) -> [Int] {
        for _ in 0..<count {
            if let pick = pick(at: .seconds(1)) { opened(pick, at: .seconds(1)) }
        }
        return states.map { Int($0.own) }
    }
}

/// `#require` for the result of a mutating call, which the macro cannot hold.
func unwrap<Value>(_ value: Value?) throws -> Value { try #require(value) }
