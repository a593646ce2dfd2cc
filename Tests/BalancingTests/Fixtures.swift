import Balancing
import NetworkModel
import Testing

/// Site number `index` of a test, in the order of their identities.
func site(_ index: Int) -> SiteID {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    var text = ""
    var rest = index
    for _ in 0..<SiteID.length {
        text = String(letters[rest % letters.count]) + text
        rest /= letters.count
    }
    guard let id = SiteID(text) else { preconditionFailure("\(text) is not a SiteID") }
    return id
}

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
            targets.map { Target(site: site($0.site), cost: PathCost($0.cost), weight: $0.weight) },
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

/// SplitMix64: the same schedule for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// `#require` for the result of a mutating call, which the macro cannot hold.
func unwrap<Value>(_ value: Value?) throws -> Value { try #require(value) }
