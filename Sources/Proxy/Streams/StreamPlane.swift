import Balancing
import NetworkModel
import Streaming
import Synchronization

/// What the stream engines of one proxy share: stream numbers and names, replay windows, and which loop has lanes to whom.
final class StreamPlane: Sendable {
    let mailboxes: [Mailbox]
    /// What each neighbor site holds here.
    let accounts: NeighborAccounts
    let ownSockets = OwnSockets()
    let names = StreamNames()
    /// What the proxy plans with, and uses.
    let memory = MemoryBudget()
    private let number = Atomic<UInt64>(0)
    private let replays = Mutex(ReplayGuard())
    private let ejections = Mutex(RouteEjections())
    private let isToldOfWays = Atomic<Bool>(false)
    private let lanes = Mutex<[ProxyID: [Int: Int]]>([:])

    init(mailboxes: [Mailbox], accounts: NeighborAccounts) {
        self.mailboxes = mailboxes
        self.accounts = accounts
    }

    /// The next number of a stream of this instance, from 1.
    func nextNumber() -> UInt64 { number.wrappingAdd(1, ordering: .relaxed).newValue }

    func accept(
        _ number: UInt64,
        of ingress: ProxyID,
        signer: ProxyID,
        keys: KeyRing
    ) -> Bool {
        let site = signer.site
        let (isNew, held, forgotten) = replays.withLock { guardian in
            let before = guardian.forgotten
            let isNew = guardian.accept(number, of: ingress, signer: signer) {
                keys.key(for: $0) != nil
            }
            return (isNew, guardian.count(of: site), guardian.forgotten != before)
        }
        if let account = accounts.known(site) {
            account.set(.replayWindows, to: held)
            if forgotten { account.deny(.replayWindows) }
        }
        return isNew
    }

    /// Reads or changes what all loops know of routes that lead nowhere.
    func withRoutes<Result: Sendable>(_ body: (inout RouteEjections) -> Result) -> Result {
        ejections.withLock { ejections in body(&ejections) }
    }

    /// Ways to targets have changed; true when the loops are to be told, so that each looks soon whether streams of its own
    /// have better ones: once for all changes until then.
    func noteWays() -> Bool { !isToldOfWays.exchange(true, ordering: .relaxed) }

    /// A loop looks now: what changes from now on it has to be told of.
    func looksAtWays() { isToldOfWays.store(false, ordering: .relaxed) }

    // MARK: Lanes of the loops

    func laneAdded(to neighbor: ProxyID, loop: Int) {
        lanes.withLock { $0[neighbor, default: [:]][loop, default: 0] += 1 }
    }

    func laneRemoved(to neighbor: ProxyID, loop: Int) {
        lanes.withLock { lanes in
            guard var loops = lanes[neighbor], let count = loops[loop] else { return }
            loops[loop] = count > 1 ? count - 1 : nil
            lanes[neighbor] = loops.isEmpty ? nil : loops
        }
    }

    /// Another loop that has a lane to `neighbor`; different numbers choose different ones.
    func loop(to neighbor: ProxyID, but own: Int, number: UInt64) -> Int? {
        lanes.withLock { lanes in
            let others = (lanes[neighbor] ?? [:]).keys.filter { $0 != own }.sorted()
            return others.isEmpty ? nil : others[Int(number % UInt64(others.count))]
        }
    }
}
