import CLinux
import Glibc
import SiteFolder

/// A folder that one process at a time has.
enum FolderLock {
    static func file(in folder: String) -> String { "\(folder)/.lock" }

    /// Makes the folder and takes it for this process; false when another one has it.
    static func take(_ folder: String, mode: mode_t) throws -> Bool {
        try Files.makeDirectory(folder, mode: mode)
        let file = file(in: folder)
        let descriptor = unsafe open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileProblem(file, errno) }
        // Left open: the lock goes with the process, however it ends.
        if take(descriptor) { return true }
        let code = errno
        close(descriptor)
        guard code == EWOULDBLOCK else { throw FileProblem(file, code) }
        return false
    }

    /// Whoever only looks whether it is taken (`tieline status`) lets go of it at once.
    private static func take(_ descriptor: Int32) -> Bool {
        for _ in 0..<5 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            guard errno == EWOULDBLOCK else { return false }
            usleep(20_000)
        }
        return flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }
}
