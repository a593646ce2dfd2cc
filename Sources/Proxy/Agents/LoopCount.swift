import CLinux
import Glibc

/// How many loops a proxy runs unless it is told.
enum LoopCount {
    static let most = 8

    /// The cores of the cgroup's quota, or those that the process may run on, whichever is less; 1...8.
    static var available: Int {
        max(1, min(quota ?? most, Int(clinux_processors()), most))
    }

    /// cgroup v2 `cpu.max`: microseconds per period, rounded up to whole cores.
    private static var quota: Int? {
        guard let file = unsafe fopen("/sys/fs/cgroup/cpu.max", "re") else { return nil }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard unsafe fgets(&line, Int32(line.count), file) != nil else { return nil }
        let text = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        let parts = text.split { $0 == " " || $0 == "\n" }.compactMap { Int($0) }
        guard parts.count == 2, parts[1] > 0 else { return nil }
        return max(1, (parts[0] + parts[1] - 1) / parts[1])
    }
}
