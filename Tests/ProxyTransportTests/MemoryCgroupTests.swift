import FoundationEssentials
import Testing

@testable import Proxy

@Suite("Limits of memory")
struct MemoryCgroupTests {
    /// Files of a pretended system, by their paths.
    private func limiting(_ files: [String: String]) throws -> MemoryCgroup? {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        for (path, text) in files {
            let file = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try Data(text.utf8).write(to: file)
        }
        let found = MemoryCgroup.limiting(
            root: root.appending(path: "cgroup").path,
            membership: root.appending(path: "self").path
        )
        if let found { used = found.used }
        return found
    }

    private let reading = Reading()
    private var used: UInt64? {
        get { reading.used }
        nonmutating set { reading.used = newValue }
    }

    private final class Reading { var used: UInt64? }

    @Test("version 2, in a container: the cgroup is the root; pages of files do not count")
    func container() throws {
        let found = try limiting([
            "self": "0::/\n", "cgroup/memory.max": "67108864\n",
            "cgroup/memory.current": "1000000\n",
            "cgroup/memory.stat": "anon 500000\nactive_file 100000\ninactive_file 50000\nfile 1\n",
        ])
        #expect(found?.limit == 64 << 20)
        #expect(used == 850_000)
    }

    @Test("version 2, on a host: the least limit of those within each other")
    func nested() throws {
        let found = try limiting([
            "self": "0::/system.slice/tieline.service\n",
            "cgroup/system.slice/memory.max": "1000\n",
            "cgroup/system.slice/memory.current": "7\n", "cgroup/system.slice/memory.stat": "",
            "cgroup/system.slice/tieline.service/memory.max": "max\n",
        ])
        #expect(found?.limit == 1_000)
        #expect(used == 7)
    }

    @Test("version 1, whose path is the host's: the mounted root is meant")
    func first() throws {
        let found = try limiting([
            "self": "3:cpu,cpuacct:/x\n4:memory:/kubepods/pod1/c\n0::/\n",
            "cgroup/memory/memory.limit_in_bytes": "5000\n",
            "cgroup/memory/memory.usage_in_bytes": "900\n",
            "cgroup/memory/memory.stat": "active_file 800\ntotal_active_file 100\n",
        ])
        #expect(found?.limit == 5_000)
        #expect(used == 800)
    }

    @Test("no limit is none, in each version's words")
    func none() throws {
        let largest = "9223372036854771712\n"
        #expect(
            try limiting([
                "self": "4:memory:/\n0::/\n", "cgroup/memory/memory.limit_in_bytes": largest,
                "cgroup/memory.max": "max\n",
            ]) == nil
        )
        #expect(try limiting([:]) == nil)
    }

    @Test(
        "the steps",
        arguments: [
            (0, .none), (59, .none), (60, .windows), (74, .windows), (75, .newStreams),
            (84, .newStreams), (85, .streams), (200, .streams),
        ] as [(UInt64, MemoryPressure)]
    )
    func steps(percent: UInt64, pressure: MemoryPressure) {
        #expect(MemoryPressure(used: percent << 20, of: 100 << 20) == pressure)
        let budget = MemoryBudget()
        budget.set(used: percent << 20)
        #expect(budget.pressure == .none && budget.limit == nil, "nothing limits it")
        budget.set(limit: 100 << 20)
        budget.set(used: percent << 20)
        #expect(budget.pressure == pressure)
    }

    @Test("this process uses some memory") func process() throws {
        #expect(try #require(ProcessMemory.used) > 1 << 20)
    }
}
