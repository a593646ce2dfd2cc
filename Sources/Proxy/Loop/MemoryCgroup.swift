import Glibc

/// The cgroup that limits the memory of this process: of version 2, or of version 1's memory controller.
struct MemoryCgroup: Equatable, Sendable {
    /// Bytes.
    let limit: UInt64
    private let folder: String
    private let usageName: String
    private let droppableNames: Set<Substring>

    /// Nil when nothing limits it: the one of least limit among those that this process is in, one within the other.
    ///
    /// In a container the path may be the host's, which is not seen there: what is seen is mounted at the root.
    static func limiting(
        root: String = "/sys/fs/cgroup",
        membership: String = "/proc/self/cgroup"
    ) -> MemoryCgroup? {
        var least: MemoryCgroup?
        for line in SystemText.read(membership)?.split(separator: "\n") ?? [] {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isSecond = parts[1].isEmpty
            guard isSecond || parts[1].split(separator: ",").contains("memory") else { continue }
            var folder = isSecond ? root : root + "/memory"
            for step in ([""] as [Substring]) + parts[2].split(separator: "/") {
                if !step.isEmpty { folder += "/" + step }
                guard let found = MemoryCgroup(folder, isSecond: isSecond) else { continue }
                if found.limit < least?.limit ?? .max { least = found }
            }
        }
        return least
    }

    /// Nil where there is no limit.
    private init?(_ folder: String, isSecond: Bool) {
        let name = isSecond ? "memory.max" : "memory.limit_in_bytes"
        // Version 1 writes the largest number of pages for none.
        guard let limit = SystemText.number("\(folder)/\(name)"), limit < 1 << 60 else {
            return nil
        }
        self.limit = limit
        self.folder = folder
        usageName = isSecond ? "memory.current" : "memory.usage_in_bytes"
        droppableNames =
            isSecond
            ? ["active_file", "inactive_file"] : ["total_active_file", "total_inactive_file"]
    }

    /// What is used, without the pages of files, which the kernel drops when it needs to.
    var used: UInt64? {
        guard let usage = SystemText.number("\(folder)/\(usageName)"),
            let figures = SystemText.read("\(folder)/memory.stat")
        else { return nil }
        let droppable = figures.split(separator: "\n").reduce(UInt64(0)) { sum, line in
            let words = line.split(separator: " ")
            guard words.count == 2, droppableNames.contains(words[0]) else { return sum }
            return sum + (UInt64(words[1]) ?? 0)
        }
        return usage - min(usage, droppable)
    }
}

/// Memory of this process that is not shared with files, for hosts without such a cgroup.
enum ProcessMemory {
    static var used: UInt64? {
        let words = SystemText.read("/proc/self/statm")?.split(separator: " ") ?? []
        guard words.count > 2, let resident = UInt64(words[1]), let shared = UInt64(words[2])
        else { return nil }
        return (resident - min(resident, shared)) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
}

/// Small files of the kernel.
enum SystemText {
    static func read(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
        }
        guard count >= 0 else { return nil }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    static func number(_ path: String) -> UInt64? {
        read(path).flatMap { UInt64($0.prefix { $0.isNumber }) }
    }
}
