import Glibc
import Streaming
import Synchronization

/// How the soft limit of descriptors is divided, so that no purpose can take another's.
struct DescriptorShares: Hashable, Sendable {
    /// The soft limit.
    let limit: Int
    /// Never given to a socket: for the runtime, files, name look-ups and the HTTP endpoint.
    let untouchable: Int
    /// Lanes whose neighbors were not admitted yet, of all loops together.
    let handshakes: Int
    /// Lanes whose neighbors were admitted.
    let lanes: Int
    /// Clients and servers, and listening sockets.
    let relays: Int

    init(limit: Int) {
        self.limit = limit
        untouchable = min(64, limit / 4)
        handshakes = limit / 8
        lanes = limit / 4
        relays = limit - untouchable - handshakes - lanes
    }

    /// Of this process; read once, since nothing of ours changes the limit after the start.
    static let ofProcess: DescriptorShares = {
        var limits = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else {
            return DescriptorShares(limit: 1_024)
        }
        return DescriptorShares(limit: Int(clamping: limits.rlim_cur))
    }()

    /// Whether a client, with the socket of the server that it may need, fits when so many descriptors are open.
    ///
    /// What handshakes and lanes do not use of their shares is kept for them.
    func hasRoomForClient(open: Int, handshakes used: Int, lanes usedByLanes: Int) -> Bool {
        let kept = max(0, handshakes - used) + max(0, lanes - usedByLanes)
        return open + 2 <= limit - untouchable - kept
    }

    /// Whether any socket may be opened when so many descriptors are open.
    func hasRoomForSocket(open: Int) -> Bool { open < limit - untouchable }
}

/// How many descriptors the process uses for what.
enum DescriptorBudget {
    private static let handshakes = Atomic<Int>(0)
    private static let lanes = Atomic<Int>(0)

    static var hasRoomForClient: Bool {
        DescriptorShares.ofProcess.hasRoomForClient(
            open: FileDescriptor.openCount,
            handshakes: handshakes.load(ordering: .relaxed),
            lanes: lanes.load(ordering: .relaxed)
        )
    }

    /// What clients and servers of all services share, and how much of it is used.
    static var room: DescriptorRoom {
        let others = handshakes.load(ordering: .relaxed) + lanes.load(ordering: .relaxed)
        return DescriptorRoom(
            total: DescriptorShares.ofProcess.relays,
            open: max(0, FileDescriptor.openCount - others)
        )
    }

    static var hasRoomForSocket: Bool {
        DescriptorShares.ofProcess.hasRoomForSocket(open: FileDescriptor.openCount)
    }

    /// A lane is being set up (1), or is not any more (-1).
    static func countHandshake(_ change: Int) {
        handshakes.wrappingAdd(change, ordering: .relaxed)
    }

    /// A lane was admitted (1), or an admitted one has ended (-1).
    static func countLane(_ change: Int) { lanes.wrappingAdd(change, ordering: .relaxed) }

    static var laneCount: Int { lanes.load(ordering: .relaxed) }
}
