import NetworkModel
import Routing
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

extension Instant {
    static func milliseconds(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: UInt64(milliseconds) * 1_000_000)
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
