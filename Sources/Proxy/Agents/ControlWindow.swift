import Synchronization

/// What one lane has handed to loop 0 and loop 0 has not done: bounded, so that no neighbor fills its mailbox.
///
/// Counted in KiB, a small frame as one. Beyond the limit the lane is not read until half is done.
final class ControlWindow: Sendable {
    static let limit = 64

    let account: NeighborAccount
    private let waiting = Atomic<Int>(0)
    private let isPaused = Atomic<Bool>(false)

    init(account: NeighborAccount) { self.account = account }

    static func cost(_ bytes: Int) -> Int { max(1, bytes / 1_024) }

    /// A frame is handed over; true when the lane has to pause.
    func handedOver(_ cost: Int) -> Bool {
        let new = waiting.wrappingAdd(cost, ordering: .sequentiallyConsistent).newValue
        account.add(.controlFrames, cost)
        guard new >= Self.limit || !account.hasRoom(.controlFrames, for: 0) else { return false }
        account.deny(.controlFrames)
        isPaused.store(true, ordering: .sequentiallyConsistent)
        // Loop 0 may have done everything meanwhile, and will say nothing more.
        guard hasCaughtUp else { return true }
        return !isPaused.exchange(false, ordering: .sequentiallyConsistent)
    }

    /// Loop 0 is done with a frame; true when the lane may be read again.
    func done(_ cost: Int) -> Bool {
        waiting.wrappingSubtract(cost, ordering: .sequentiallyConsistent)
        account.give(.controlFrames, cost)
        guard hasCaughtUp else { return false }
        return isPaused.exchange(false, ordering: .sequentiallyConsistent)
    }

    private var hasCaughtUp: Bool {
        waiting.load(ordering: .sequentiallyConsistent) <= Self.limit / 2
    }
}
