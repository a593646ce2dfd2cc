import FoundationEssentials
import Glibc

extension MetricsRegistry {
    /// Adds what the kernel knows of this process, under the usual names.
    package func addProcessMetrics() {
        addCollector { writer in
            guard let process = ProcessReading.now() else { return }
            writer.gauge(
                "process_resident_memory_bytes",
                help: "Resident memory size in bytes.",
                value: Double(process.residentBytes)
            )
            writer.gauge(
                "process_virtual_memory_bytes",
                help: "Virtual memory size in bytes.",
                value: Double(process.virtualBytes)
            )
            writer.counter(
                "process_cpu_seconds_total",
                help: "Total user and system CPU time spent in seconds.",
                value: process.processorSeconds
            )
            writer.gauge(
                "process_threads",
                help: "Number of threads.",
                value: Double(process.threads)
            )
            writer.gauge(
                "process_open_fds",
                help: "Number of open file descriptors.",
                value: Double(process.openFiles)
            )
            writer.gauge(
                "process_max_fds",
                help: "Maximum number of open file descriptors.",
                value: Double(process.maximumFiles)
            )
        }
    }
}

/// What `/proc/self` says.
package struct ProcessReading: Sendable {
    package var residentBytes: UInt64
    package var virtualBytes: UInt64
    package var processorSeconds: Double
    package var threads: UInt64
    package var openFiles: Int
    package var maximumFiles: UInt64

    /// Nil where there is no `/proc`.
    package static func now() -> ProcessReading? {
        guard let bytes = try? Data(contentsOf: URL(filePath: "/proc/self/stat")) else {
            return nil
        }
        // The second field is the program's name in parentheses and may hold anything.
        let line = String(decoding: bytes, as: UTF8.self)
        guard let end = line.lastIndex(of: ")") else { return nil }
        let fields = line[line.index(after: end)...].split(separator: " ")
        guard fields.count > 21 else { return nil }
        // The first one here is field 3 of proc_pid_stat(5).
        func field(_ number: Int) -> UInt64 { UInt64(fields[number - 3]) ?? 0 }
        var limit = rlimit()
        let known = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return ProcessReading(
            residentBytes: field(24) * UInt64(sysconf(Int32(_SC_PAGESIZE))),
            virtualBytes: field(23),
            processorSeconds: Double(field(14) + field(15)) / Double(sysconf(Int32(_SC_CLK_TCK))),
            threads: field(20),
            openFiles: descriptors?.count ?? 0,
            maximumFiles: known ? UInt64(limit.rlim_cur) : 0
        )
    }
}
