import Dispatch
import FoundationEssentials
import Glibc

/// A program that is run once for what it prints.
///
/// Its standard error is that of this process.
struct ChildProgram: Sendable {
    enum Outcome: Sendable, Equatable {
        case exited(Int32, Data)
        case killed(signal: Int32)
        case timedOut
        case tooMuchOutput
        /// With the number of the error.
        case notStarted(Int32)
    }

    /// Looked up on the PATH, unless it has a slash.
    var path: String
    var arguments: [String] = []
    var environment: [String: String] = [:]
    /// Standard input, and the terminal with it, is that of this process; else it is empty.
    var sharesTerminal = false
    var timeLimit = Duration.seconds(60)
    /// In bytes.
    var outputLimit = 1 << 20

    /// Runs the program to its end, on a thread that may wait.
    func run() async -> Outcome {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: self.runHere()) }
        }
    }

    private func runHere() -> Outcome {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return .notStarted(errno) }
        let (reader, writer) = (ends[0], ends[1])
        defer { close(reader) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = spawn(output: writer)
        close(writer)
        switch child {
        case .failure(let failure): return .notStarted(failure.code)
        case .success(let pid): return collect(pid, reader)
        }
    }

    private struct SpawnFailure: Error { var code: Int32 }

    private func spawn(output: Int32) -> Result<pid_t, SpawnFailure> {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe _ = posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe _ = posix_spawnattr_destroy(&attributes) }
        // Signals that this process blocks are the program's own affair.
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        var flags = POSIX_SPAWN_SETSIGMASK
        if !sharesTerminal {
            unsafe posix_spawn_file_actions_addopen(
                &actions,
                STDIN_FILENO,
                "/dev/null",
                O_RDONLY,
                0
            )
            // A group of its own, so that what it starts ends with it. With a terminal it would be stopped at its
            // first question.
            flags |= POSIX_SPAWN_SETPGROUP
        }
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var words: [UnsafeMutablePointer<CChar>?] =
            unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] =
            unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer { unsafe (words + variables).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, path, &actions, &attributes, &words, &variables)
        return code == 0 ? .success(pid) : .failure(SpawnFailure(code: code))
    }

    private func collect(_ pid: pid_t, _ reader: Int32) -> Outcome {
        let end = ContinuousClock.now + timeLimit
        var output = Data()
        var isOpen = true
        while true {
            // What it prints is read while it runs; a process that it left behind may hold the pipe open for ever.
            let exit = poll(pid)
            while isOpen, isReadable(reader, milliseconds: exit == nil ? 20 : 0) {
                let piece = read(reader)
                isOpen = !piece.isEmpty
                output += piece
                if output.count > outputLimit { return stop(pid, .tooMuchOutput) }
                if ContinuousClock.now > end { break }
            }
            if let exit {
                return exit & 0x7f == 0
                    ? .exited((exit >> 8) & 0xff, output) : .killed(signal: exit & 0x7f)
            }
            if ContinuousClock.now > end { return stop(pid, .timedOut) }
            if !isOpen { usleep(2000) }
        }
    }

    /// The wait status of a child that has ended.
    private func poll(_ pid: pid_t) -> Int32? {
        var status: Int32 = 0
        return unsafe waitpid(pid, &status, WNOHANG) == pid ? status : nil
    }

    private func stop(_ pid: pid_t, _ outcome: Outcome) -> Outcome {
        kill(sharesTerminal ? pid : -pid, SIGTERM)
        for _ in 0..<100 {
            if poll(pid) != nil { return outcome }
            usleep(10000)
        }
        kill(sharesTerminal ? pid : -pid, SIGKILL)
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return outcome
    }

    private func isReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe Glibc.poll(&entry, 1, milliseconds) > 0
    }

    /// The next bytes; none at the end.
    private func read(_ descriptor: Int32) -> Data {
        var buffer = [UInt8](repeating: 0, count: 16384)
        let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
        return Data(buffer.prefix(max(0, count)))
    }
}

/// The system's words for an error number, as `no such file or directory`.
func errorText(_ code: Int32) -> String {
    unsafe String(cString: strerror(code)).lowercased()
}
