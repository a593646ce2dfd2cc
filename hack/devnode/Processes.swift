import Glibc
import Synchronization

/// A program to start.
struct Command: Sendable {
    /// The program, looked up in PATH when it is a bare name, and its arguments.
    var words: [String]
    /// Becomes standard output and standard error.
    var output: Int32

    static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

/// Why a program was not started.
struct SpawnError: Error, CustomStringConvertible {
    let program: String
    let code: Int32

    var description: String {
        "cannot start \(program): \(unsafe String(cString: strerror(code)))"
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
        // Under the lock, so that the child is known before its end can be seen.
        try entries.withLock { (entries) throws(SpawnError) in
            let pid = try Self.start(command)
            entries[pid] = .running(nil)
            return pid
        }
    }

    /// Runs a program to its end: 0...255, or 128 + signal.
    func run(_ command: Command) async throws(SpawnError) -> Int32 {
        await exitCode(of: try spawn(command))
    }

    /// Counts a process as a child that was started by one: it becomes devnode's when that one ends.
    ///
    /// The caller makes sure that it is alive; its exit must be collected with `exitCode(of:)`.
    func adopt(_ pid: pid_t) {
        entries.withLock { $0[pid] = .running(nil) }
    }

    /// Nobody will ask for this child's exit.
    func abandon(_ pid: pid_t) {
        entries.withLock { $0[pid] = nil }
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
            let pid = unsafe waitpid(-1, &status, 0)
            guard pid > 0 else {
                // No child at all: only before the first one, or when the anchor was killed.
                usleep(20_000)
                continue
            }
            let code = Self.exitCode(status)
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

    /// Of a wait status: its low seven bits are the signal, the next byte is the code.
    private static func exitCode(_ status: Int32) -> Int32 {
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    private static func start(_ command: Command) throws(SpawnError) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        for descriptor: Int32 in [1, 2] {
            unsafe posix_spawn_file_actions_adddup2(&actions, command.output, descriptor)
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // What devnode ignores, a container must not inherit.
        var signals = sigset_t()
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
        )
        var words = unsafe command.words.map { unsafe strdup($0) } + [nil]
        var variables = unsafe [strdup("PATH=\(Command.searchPath)"), nil]
        defer { unsafe (words + variables).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(
            &pid,
            command.words[0],
            &actions,
            &attributes,
            &words,
            &variables
        )
        guard code == 0 else { throw SpawnError(program: command.words[0], code: code) }
        return pid
    }
}
