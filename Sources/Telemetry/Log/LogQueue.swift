import CLinux
import Glibc
import Logging
import NetworkModel
import Synchronization

/// The lines that wait to be written to a log, and the one thread that writes them.
///
/// Who logs never waits: when nobody reads the log, what does not fit is dropped and counted, and the log says how much
/// once it is read again. The descriptor is shared with whoever started the process, so its flags stay as they are:
/// the thread may block in a write for as long as the reader likes.
package final class LogQueue: Sendable {
    /// What may wait.
    package static let maximumBytes = 1 << 20
    /// A write of this size to a pipe is never mixed with somebody else's.
    private static let chunk = 4_096

    private struct State {
        var lines: [[UInt8]] = []
        var bytes = 0
        var dropped: UInt64 = 0
        /// Dropped since the log last said so.
        var untold: UInt64 = 0
        var isWriting = false
    }

    private let descriptor: Int32
    private let format: LogFormat
    private let state = Mutex(State())
    /// Wakes the thread.
    private let alarm: Int32

    /// Starts the thread, which lives as long as the process.
    package init(descriptor: Int32, format: LogFormat) {
        self.descriptor = descriptor
        self.format = format
        alarm = eventfd(0, Int32(EFD_CLOEXEC))
        start()
    }

    /// Lines that nobody will read: there was no room for them, or the log could not be written.
    package var dropped: UInt64 { state.withLock { $0.dropped } }

    /// Puts a line into the queue, or counts it as dropped.
    func append(_ line: LogLine) {
        let bytes = line.bytes(as: format)
        let mustWake = state.withLock { state in
            guard state.bytes + bytes.count <= Self.maximumBytes else {
                state.dropped += 1
                state.untold += 1
                return false
            }
            state.lines.append(bytes)
            state.bytes += bytes.count
            return state.lines.count == 1
        }
        if mustWake { eventfd_write(alarm, 1) }
    }

    /// Waits until everything was written, at most `milliseconds`: for the last words of a process.
    ///
    /// It blocks the thread.
    package func flush(milliseconds: Int = 500) {
        for _ in 0..<max(1, milliseconds / 5) {
            if state.withLock({ $0.lines.isEmpty && !$0.isWriting }) { return }
            usleep(5_000)
        }
    }

    // MARK: The thread

    private func start() {
        var thread = pthread_t()
        var blocked = sigset_t()
        var previous = sigset_t()
        // Signals belong to other threads; a SIGPIPE of this one stays pending.
        unsafe sigfillset(&blocked)
        unsafe pthread_sigmask(SIG_SETMASK, &blocked, &previous)
        let queue = unsafe Unmanaged.passRetained(self)
        let status = unsafe pthread_create(
            &thread,
            nil,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                _ = unsafe clinux_name_thread("log")
                unsafe Unmanaged<LogQueue>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            },
            queue.toOpaque()
        )
        unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
        // Without a thread nothing is written: the queue fills, and the counter says so.
        if status == 0 { pthread_detach(thread) } else { unsafe queue.release() }
    }

    private func run() {
        var count: eventfd_t = 0
        while true {
            unsafe eventfd_read(alarm, &count)
            while let (bytes, lines) = take() {
                let isWritten = write(bytes)
                state.withLock { state in
                    state.isWriting = false
                    if isWritten {
                        if let told = report(state.untold) {
                            state.untold = 0
                            state.lines.append(told)
                            state.bytes += told.count
                        }
                    } else {
                        state.dropped += lines
                    }
                }
            }
        }
    }

    /// As many lines as fit into one chunk, at least one; nil when none waits.
    private func take() -> ([UInt8], UInt64)? {
        state.withLock { state in
            guard !state.lines.isEmpty else { return nil }
            var bytes: [UInt8] = []
            var lines = 0
            for line in state.lines {
                guard bytes.isEmpty || bytes.count + line.count <= Self.chunk else { break }
                bytes += line
                lines += 1
            }
            state.lines.removeFirst(lines)
            state.bytes -= bytes.count
            state.isWriting = true
            return (bytes, UInt64(lines))
        }
    }

    private func report(_ count: UInt64) -> [UInt8]? {
        guard count > 0 else { return nil }
        return LogLine(
            time: .now(),
            level: .warning,
            label: "log",
            message: "\(count) lines were dropped: nobody read the log",
            metadata: [:]
        ).bytes(as: format)
    }

    /// Writes everything, however long that takes; false when it cannot be written.
    private func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // Somebody made it non-blocking.
                var place = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                unsafe poll(&place, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }
}
