import CNamespaces
import Glibc
import Synchronization

/// A program to start.
struct Command: Sendable {
    var path: String
    var arguments: [String] = []
    var environment: [String: String] = [:]
    var directory: String?
    /// The network namespace to join; -1 for devnode's own.
    var network: Int32 = -1
    /// Becomes standard output and standard error.
    var output: Int32
    var isolation: Isolation?
}

/// The own PID, mount and UTS namespaces of a container.
struct Isolation: Sendable {
    enum Kind: Int32, Sendable {
        case directory = 0
        case file = 1
        case proc = 2
        case tmpfs = 3
    }

    struct Mount: Sendable {
        var kind: Kind
        var source = ""
        var target: String
        var isReadOnly = false
    }

    var hostname: String
    /// Options of the overlay that becomes the root.
    var overlay: String
    var root: String
    var mounts: [Mount]
    /// Nothing but volumes can be written to.
    var isReadOnly = false
}

/// Why a program was not started.
struct SpawnError: Error, CustomStringConvertible {
    let command: String
    let step: String
    let code: Int32

    var description: String {
        "cannot start \(command): \(step): \(unsafe String(cString: strerror(code)))"
    }
}

/// All children of devnode: it is the init process of its PID namespace and must wait for everyone.
final class ProcessTable: Sendable {
    private enum Entry {
        case running(CheckedContinuation<Int32, Never>?)
        case exited(Int32)
    }

    private let entries = Mutex<[pid_t: Entry]>([:])

    /// Begins to wait for children.
    func start() {
        startThread { self.reap() }
    }

    /// Starts a program; its exit must be collected with `exitCode(of:)`.
    func spawn(_ command: Command) throws(SpawnError) -> pid_t {
        let arena = unsafe CStringArena()
        // Under the lock, so that the child is known before its end can be seen.
        return try entries.withLock { (entries) throws(SpawnError) in
            let pid = try unsafe Self.start(command, arena)
            entries[pid] = .running(nil)
            return pid
        }
    }

    /// Waits for a child's end: 0...255, or 128 + signal.
    ///
    /// May be asked once per child.
    func exitCode(of pid: pid_t) async -> Int32 {
        await withCheckedContinuation { continuation in
            let code: Int32? = entries.withLock { entries in
                if case .exited(let code) = entries[pid] {
                    entries[pid] = nil
                    return code
                }
                entries[pid] = .running(continuation)
                return nil
            }
            if let code { continuation.resume(returning: code) }
        }
    }

    private func reap() {
        while true {
            var status: Int32 = 0
            let pid = unsafe cns_wait_any(&status)
            guard pid > 0 else {
                // No child at all: only before the first one, or when the anchor was killed.
                usleep(20_000)
                continue
            }
            let code = cns_exit_code(status)
            let waiting: CheckedContinuation<Int32, Never>? = entries.withLock { entries in
                switch entries[pid] {
                case .running(let continuation?):
                    entries[pid] = nil
                    return continuation
                case .running(nil):
                    entries[pid] = .exited(code)
                    return nil
                case .exited, nil:
                    return nil
                }
            }
            waiting?.resume(returning: code)
        }
    }

    private static func start(
        _ command: Command,
        _ arena: CStringArena
    ) throws(SpawnError) -> pid_t {
        var process = unsafe cns_process()
        unsafe process.path = UnsafePointer(arena.copy(command.path))
        unsafe process.argv = UnsafePointer(arena.list([command.path] + command.arguments))
        let variables = command.environment.sorted { $0.key < $1.key }
        unsafe process.envp = UnsafePointer(
            arena.list(variables.map { "\($0.key)=\($0.value)" })
        )
        if let directory = command.directory {
            unsafe process.directory = UnsafePointer(arena.copy(directory))
        }
        unsafe process.network = command.network
        unsafe process.input = -1
        unsafe process.output = command.output
        var mounts: [cns_mount] = unsafe []
        if let isolation = command.isolation {
            unsafe process.isolated = 1
            unsafe process.hostname = UnsafePointer(arena.copy(isolation.hostname))
            unsafe process.overlay = UnsafePointer(arena.copy(isolation.overlay))
            unsafe process.root = UnsafePointer(arena.copy(isolation.root))
            unsafe process.read_only_root = isolation.isReadOnly ? 1 : 0
            for mount in isolation.mounts {
                unsafe mounts.append(
                    cns_mount(
                        source: UnsafePointer(arena.copy(mount.source)),
                        target: UnsafePointer(arena.copy(mount.target)),
                        kind: mount.kind.rawValue,
                        read_only: mount.isReadOnly ? 1 : 0
                    )
                )
            }
        }
        var step: UnsafePointer<CChar>?
        let pid = unsafe mounts.withUnsafeBufferPointer { mounts in
            unsafe process.mounts = mounts.baseAddress
            unsafe process.mount_count = mounts.count
            return unsafe cns_spawn(&process, &step)
        }
        guard pid > 0 else {
            throw SpawnError(
                command: command.path,
                step: unsafe step.map { unsafe String(cString: $0) } ?? "clone",
                code: -pid
            )
        }
        return pid
    }
}

/// C strings that live until the arena goes.
@unsafe private final class CStringArena {
    private var strings: [UnsafeMutablePointer<CChar>] = unsafe []
    private var lists: [UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>] = unsafe []

    func copy(_ text: String) -> UnsafeMutablePointer<CChar> {
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.utf8.count + 1)
        for (index, byte) in text.utf8.enumerated() {
            unsafe copy[index] = CChar(bitPattern: byte)
        }
        unsafe copy[text.utf8.count] = 0
        unsafe strings.append(copy)
        return unsafe copy
    }

    func list(_ texts: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
            .allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { unsafe list[index] = unsafe copy(text) }
        unsafe list[texts.count] = nil
        unsafe lists.append(list)
        return unsafe list
    }

    deinit {
        for index in unsafe strings.indices { unsafe strings[index].deallocate() }
        for index in unsafe lists.indices { unsafe lists[index].deallocate() }
    }
}
