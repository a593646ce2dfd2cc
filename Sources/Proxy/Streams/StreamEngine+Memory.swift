import NetworkModel
import Streaming

// What becomes of streams when memory is short: windows shrink, new ones are refused, the youngest are reset.
extension StreamEngine {
    /// How much memory the rings and relays of one loop may hold.
    struct Memory: Equatable {
        /// Beyond this nothing more is read from sockets, and the youngest streams are reset.
        var limit = 512 << 20
        /// Beyond this windows grow no more, and no stream reads ahead by more than a standard window.
        var pressure = 256 << 20
        /// While all receivers have granted less, windows grow: most of it is never used at one time.
        var windows = 1 << 30
        /// Up to this new streams begin with large windows, and up to the next with middling ones.
        var generousWindows = 256 << 20
        var standardWindows = 768 << 20
        /// What is kept for reuse.
        var kept = 32 << 20

        init() {}

        init(limit: Int, pressure: Int) {
            self.limit = limit
            self.pressure = pressure
        }

        /// Parts of what the loop may use: the kernel needs some for sockets, and the process for everything else.
        init(budget: Int?) {
            guard let budget else { return }
            limit = min(limit, budget / 2)
            pressure = min(pressure, budget / 4)
            windows = min(windows, budget / 8)
            generousWindows = min(generousWindows, budget / 32)
            standardWindows = min(standardWindows, budget / 8)
            kept = min(kept, budget / 64)
        }
    }

    func follow(_ memory: Memory) {
        pool.keptLimit = memory.kept
        loop.buffers.keptCountMax = memory.pressure / 4
    }

    /// Whether receivers grant less than they did.
    var shrinksWindows: Bool { plane.memory.pressure >= .windows }

    /// Whether new connections and streams may begin.
    var takesStreams: Bool { plane.memory.pressure < .newStreams }

    private static let starvedDelay: Duration = .milliseconds(50)
    /// The part of the streams that is reset at once.
    private static let resetPart = 32

    /// Gives back what is kept for reuse; with `resets`, the youngest streams as well.
    func trim(resets: Bool) {
        if resets { resetYoungest() }
        pool.trim()
    }

    private func resetYoungest() {
        // Those without a path first.
        for _ in 0...streamCount / Self.resetPart where !resetYoungestDetached() {
            return youngest(streamCount / Self.resetPart + 1).forEach { $0.shutDown() }
        }
    }

    /// Rings and relays hold too much: in a moment, the youngest are reset until they hold less.
    private func relieveSoon() {
        guard !isRelieving else { return }
        isRelieving = true
        Shortages.note(.budget, at: loop.now)
        loop.schedule(after: .zero) { [unowned self] _ in
            isRelieving = false
            while held > memory.limit, resetYoungestDetached() {}
            guard held > memory.limit else { return }
            // A relay lets go in the next turn: not all of them at once.
            for stream in youngest(streamCount / 8 + 1) {
                stream.shutDown()
                if held <= memory.limit / 8 * 7 { return }
            }
            relieveSoon()
        }
    }

    /// The window that a new stream starts with.
    var initialWindow: Int {
        guard plane.memory.pressure == .none else { return StreamReceiver.minimumWindow }
        if grantedWindows < memory.generousWindows { return StreamReceiver.generousWindow }
        if grantedWindows < memory.standardWindows { return StreamReceiver.standardWindow }
        return StreamReceiver.minimumWindow
    }

    /// Likewise, over `carrier`, which `isAll` of the path to the other end.
    ///
    /// A near neighbor answers within microseconds, and needs no more.
    func initialWindow(over carrier: StreamCarrier, isAll: Bool) -> Int {
        guard isAll, let trip = carrier.conduit.leastRoundTrip, trip < bulkDistance else {
            return initialWindow
        }
        return min(initialWindow, StreamReceiver.nearWindow)
    }

    func windowGranted(_ count: Int) { grantedWindows += count }
    func windowReturned(_ count: Int) { grantedWindows -= count }

    /// Whether a receiver's window, whose bytes `pool` would hold, may become twice as large.
    func mayGrow(_ window: Int, in pool: BufferPool) -> Bool {
        !isUnderPressure(pool) && grantedWindows + window <= memory.windows
    }

    /// What rings hold, and relays whose target takes nothing.
    var held: Int { pool.used + loop.buffers.keptCount }

    /// The loop holds much, or the site that `pool` is drawn from.
    func isUnderPressure(_ pool: BufferPool) -> Bool {
        if held > memory.pressure || plane.memory.pressure >= .windows { return true }
        return pool.account?.isHalfUsed ?? false
    }

    /// Whether `count` more bytes may be kept in `pool`; streams without a path give theirs up first.
    func mayHold(_ count: Int, in pool: BufferPool) -> Bool {
        while held + count > memory.limit { guard resetYoungestDetached() else { return false } }
        return pool.account?.admits(ringBytes: count) ?? true
    }

    /// Whether `count` bytes that have come may be kept in `pool`; the youngest streams go, not whoever gets bytes now.
    func mayKeep(_ count: Int, in pool: BufferPool) -> Bool {
        let wanted = held + count
        if wanted > memory.limit { relieveSoon() }
        guard wanted <= memory.limit / 2 * 3 else { return false }
        return pool.account?.admits(ringBytes: count) ?? true
    }

    /// How much a stream may read from its socket that keeps `kept` unacknowledged bytes in `pool`.
    func readAllowance(keeping kept: Int, in pool: BufferPool) -> Int {
        guard isUnderPressure(pool) else { return .max }
        guard mayHold(SocketPart.readMinimum, in: pool) else { return 0 }
        return max(0, StreamReceiver.standardWindow - kept)
    }

    /// Lets `stream` try again soon.
    func awaitMemory(_ stream: any SocketStream) {
        starved.append(stream)
        guard starved.count == 1 else { return }
        loop.schedule(after: Self.starvedDelay) { [unowned self] _ in
            let waiting = starved
            starved = []
            for (index, stream) in waiting.enumerated() {
                stream.readAgain()
                if index % 64 == 63 { loop.breathe() }
            }
        }
    }
}
