package import NetworkModel

/// The accepted lanes of one loop whose neighbors were not admitted yet: bounded, and shared among the addresses they come from.
///
/// When all slots are taken, the oldest lane of the address with the most gives way: whoever opens many connections and
/// says nothing pushes out its own. Pure.
package struct HandshakeSlots {
    /// Beyond this more slots help nobody.
    private static let capacityMax = 1_024
    private static let capacityMin = 8

    package let capacity: Int
    /// The oldest first.
    private var waiting: [IPAddress: [LaneID]] = [:]
    private var addresses: [LaneID: IPAddress] = [:]

    package var count: Int { addresses.count }

    /// A loop's part of the share of all loops.
    package init(share: Int, loops: Int) {
        capacity = min(max(share / max(1, loops), Self.capacityMin), Self.capacityMax)
    }

    /// Takes a slot; gives the lane that has to end for it, if any.
    package mutating func take(_ id: LaneID, from address: IPAddress) -> LaneID? {
        let evicted = count < capacity ? nil : oldestOfTheMost()
        if let evicted { free(evicted) }
        waiting[address, default: []].append(id)
        addresses[id] = address
        return evicted
    }

    /// True when the lane had a slot.
    @discardableResult
    package mutating func free(_ id: LaneID) -> Bool {
        guard let address = addresses.removeValue(forKey: id) else { return false }
        waiting[address]?.removeAll { $0 == id }
        if waiting[address]?.isEmpty == true { waiting[address] = nil }
        return true
    }

    private func oldestOfTheMost() -> LaneID? {
        waiting.max { left, right in
            // Of equals the one that has waited longest.
            (left.value.count, right.value[0]) < (right.value.count, left.value[0])
        }?.value.first
    }
}
