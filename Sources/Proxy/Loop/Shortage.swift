import Glibc
import NetworkModel
import Synchronization

/// What this host can be short of, so that clients and neighbors wait in the backlog or are turned away.
package enum Shortage: String, CaseIterable, Sendable {
    case descriptors, ports, memory, budget

    /// Nil for an error of another kind.
    init?(_ error: SystemError) {
        switch error.code {
        case EMFILE, ENFILE: self = .descriptors
        case EADDRNOTAVAIL: self = .ports
        case ENOBUFS, ENOMEM: self = .memory
        default: return nil
        }
    }

    /// What it means and what to do.
    package var explanation: String {
        switch self {
        case .descriptors:
            "descriptors are short: new connections wait until others end; this process may open "
                + "\(DescriptorShares.ofProcess.limit) (ulimit -n, LimitNOFILE= of systemd)"
        case .ports:
            "ports are short: no local port is free to connect to a server; see net.ipv4.ip_local_port_range"
        case .memory:
            "the kernel has no memory for more sockets: new connections wait until others end"
        case .budget:
            "memory is short: new connections are refused until others end, and the youngest reset; give this proxy more"
                + " (spec.proxy.memoryBudget, or the memory limit of its container)"
        }
    }
}

/// How often, and when last, this process was short of what.
///
/// Loops tell it as it happens; the process looks at it from time to time.
package enum Shortages {
    /// Who waits tries again every 50 ms; one that was not met for so long is over.
    static let memory = Duration.seconds(3)

    private final class Record: Sendable {
        let count = Atomic<UInt64>(0)
        let last = Atomic<UInt64>(0)
        /// Microseconds.
        let paused = Atomic<UInt64>(0)
    }

    private static let descriptors = Record()
    private static let ports = Record()
    private static let kernelMemory = Record()
    private static let budget = Record()

    private static func record(_ shortage: Shortage) -> Record {
        switch shortage {
        case .descriptors: descriptors
        case .ports: ports
        case .memory: kernelMemory
        case .budget: budget
        }
    }

    static func note(_ shortage: Shortage, at now: Instant) {
        let record = record(shortage)
        record.last.store(now.nanoseconds, ordering: .relaxed)
        record.count.wrappingAdd(1, ordering: .relaxed)
    }

    /// A listener accepts nothing for so long.
    static func notePause(_ shortage: Shortage, for pause: Duration, at now: Instant) {
        note(shortage, at: now)
        let microseconds = UInt64(clamping: pause.wholeNanoseconds / 1_000)
        record(shortage).paused.wrappingAdd(microseconds, ordering: .relaxed)
    }

    /// For how long listeners accepted nothing for want of it, all together.
    package static func paused(_ shortage: Shortage) -> Duration {
        .microseconds(Int64(clamping: record(shortage).paused.load(ordering: .relaxed)))
    }

    /// How often accepting paused, or a connection to a server failed, for want of it.
    package static func count(_ shortage: Shortage) -> UInt64 {
        record(shortage).count.load(ordering: .relaxed)
    }

    /// What the process is short of now.
    static func current(at now: Instant) -> [Shortage] {
        Shortage.allCases.filter { shortage in
            count(shortage) > 0
                && now - Instant(nanoseconds: record(shortage).last.load(ordering: .relaxed))
                    < memory
        }
    }
}
