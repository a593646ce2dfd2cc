import CLinux
import NetworkModel

/// Looks how much memory this proxy uses, and says when some has to be given back.
///
/// Confined to loop 0. What the kernel holds for sockets counts as well, where it is in the cgroup's account.
final class MemoryWatch {
    /// What all loops have to do.
    enum Order {
        /// Plan with so many bytes, all loops together; nil: nothing limits them.
        case plan(UInt64?)
        /// Give back what can be spared; with `resets`, the youngest streams as well.
        case trim(resets: Bool)
    }

    private let budget: MemoryBudget
    private let loop: EventLoop
    private let tell: (Order) -> Void
    private let cgroup = MemoryCgroup.limiting()
    private var isWatching = false

    /// While nothing is short.
    private static let calm: Duration = .milliseconds(100)
    private static let hurry: Duration = .milliseconds(20)

    init(_ budget: MemoryBudget, on loop: EventLoop, tell: @escaping (Order) -> Void) {
        self.budget = budget
        self.loop = loop
        self.tell = tell
    }

    /// Begins, with what the cgroup allows.
    func start() { set(configured: nil) }

    /// A Site says what to plan with; nil: what the cgroup allows.
    func set(configured: UInt64?) {
        let limit = [configured, cgroup?.limit].compactMap(\.self).min()
        budget.set(limit: limit)
        tell(.plan(limit))
        guard limit != nil, !isWatching else { return }
        isWatching = true
        look()
    }

    private func look() {
        guard budget.limit != nil else {
            isWatching = false
            return budget.set(used: 0)
        }
        if let used = cgroup == nil ? ProcessMemory.used : cgroup?.used { budget.set(used: used) }
        let pressure = budget.pressure
        if pressure >= .newStreams {
            Shortages.note(.budget, at: loop.now)
            tell(.trim(resets: pressure >= .streams))
            clinux_trim_heap()
        }
        let wait = pressure == .none ? Self.calm : Self.hurry
        loop.schedule(after: wait) { [weak self] _ in self?.look() }
    }
}
