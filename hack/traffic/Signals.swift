import Glibc

/// Waits at most a second until a signal that kills or stops a process has done so.
///
/// Each thread dies or stops when it next runs. Until then the process takes connections.
func awaitEffect(of signal: Int32, on process: pid_t) {
    let limit = now() + 1
    while now() < limit {
        switch signal {
        case SIGKILL where kill(process, 0) != 0: return
        case SIGSTOP where isStopped(process): return
        case SIGKILL, SIGSTOP: usleep(200)
        default: return
        }
    }
}

/// Whether all threads of a process have stopped (proc(5), `/proc/PID/task/TID/stat`).
private func isStopped(_ process: pid_t) -> Bool {
    let folder = "/proc/\(process)/task"
    guard let tasks = unsafe opendir(folder) else { return false }
    defer { unsafe closedir(tasks) }
    while let entry = unsafe readdir(tasks) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
            unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
        }
        guard name.first != "." else { continue }
        guard state(inStat: "\(folder)/\(name)/stat") == "T" else { return false }
    }
    return true
}

/// The letter behind the name of a thread, which stands in parentheses.
private func state(inStat path: String) -> Character? {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = unsafe read(file, &bytes, bytes.count)
    let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    return text.lastIndex(of: ")").flatMap { text[$0...].dropFirst(2).first }
}
