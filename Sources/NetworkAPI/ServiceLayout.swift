package import FoundationEssentials
package import ProxyContract

/// Divides the services of a site into parts, each of which is one Secret, and keeps within bounds.
///
/// A few services stay in the head. Beyond, the number of parts is a power of two: it grows at once, and shrinks late, since
/// each time all services change their places. What does not fit is left out, the youngest first. Pure.
package struct ServiceLayout: Sendable {
    package struct Limits: Sendable {
        /// A Secret holds 1 MiB, and the one before beside the one after.
        package var part = 500_000
        package var whole = 16 * 1024 * 1024
        /// So many services, and bytes of them, stay in the head.
        package var few = 32
        package var small = 200_000
        /// So many are in a part, on average.
        package var average = 64

        package init() {}
    }

    private struct Part: Sendable {
        var members: Set<String> = []
        var size = 0
        /// As it is written down; nil: to be made.
        var bytes: Data?
        var digest = ""
    }

    private let limits: Limits
    private var parts: [Part]
    private var lines: [String: Data] = [:]
    private var total = 0
    /// Services for which there is no room, with the words for it.
    package private(set) var left: [String: String] = [:]

    /// `count`: how many parts there were last; 0: none.
    package init(count: Int, limits: Limits = Limits()) {
        self.limits = limits
        let count = ConfigurationPart.counts.contains(count) ? count : 0
        parts = Array(repeating: Part(), count: count)
    }

    /// How many parts there are; 0: the services are in the head.
    package var count: Int { parts.count }

    /// Takes over how a service is now; nil: it is not used.
    package mutating func set(_ name: String, _ service: ServiceConfiguration?) throws {
        let line = try service.map { try ConfigurationPart.line($0) }
        let old = lines[name]
        guard old != line else { return }
        lines[name] = line
        let change = (line?.count ?? 0) - (old?.count ?? 0)
        total += change
        guard !parts.isEmpty else { return }
        let index = ConfigurationPart.index(of: name, among: parts.count)
        if line == nil {
            parts[index].members.remove(name)
        } else {
            parts[index].members.insert(name)
        }
        parts[index].size += change
        parts[index].bytes = nil
    }

    /// Makes what `set` left to do.
    ///
    /// `isOlder` says who of two has the room. Returns the services that are left out now, or were.
    package mutating func settle(isOlder: (String, String) -> Bool) -> Set<String> {
        resize()
        let before = left
        left = leaveOut(isOlder)
        let changed = Set(before.keys).union(left.keys).filter { before[$0] != left[$0] }
        for name in changed where !parts.isEmpty {
            parts[ConfigurationPart.index(of: name, among: parts.count)].bytes = nil
        }
        for index in parts.indices where parts[index].bytes == nil { write(index) }
        return changed
    }

    private mutating func write(_ index: Int) {
        var bytes = Data()
        for name in parts[index].members.sorted() where left[name] == nil {
            if let line = lines[name] { bytes.append(line) }
        }
        parts[index].bytes = bytes
        parts[index].digest = ConfigurationPart.digest(of: bytes)
    }

    private mutating func resize() {
        var count = needed(lines.count, total)
        if count < parts.count { count = min(parts.count, needed(2 * lines.count, 2 * total)) }
        guard count != parts.count else { return }
        parts = Array(repeating: Part(), count: count)
        guard count > 0 else { return }
        for (name, line) in lines {
            let index = ConfigurationPart.index(of: name, among: count)
            parts[index].members.insert(name)
            parts[index].size += line.count
        }
    }

    private func needed(_ services: Int, _ bytes: Int) -> Int {
        if services <= limits.few, bytes <= limits.small { return 0 }
        // Names do not spread evenly: half of a part is room for those that are more than the average.
        return ConfigurationPart.counts.sorted().first {
            services <= limits.average * $0 && bytes <= limits.part / 2 * $0
        } ?? ConfigurationPart.counts.max() ?? 1
    }

    private func leaveOut(_ isOlder: (String, String) -> Bool) -> [String: String] {
        let isTight = total > limits.whole || parts.contains { $0.size > limits.part }
        guard isTight else { return [:] }
        var out: [String: String] = [:]
        var whole = 0
        var sizes = Array(repeating: 0, count: max(1, parts.count))
        for name in lines.keys.sorted(by: isOlder) {
            let size = lines[name]?.count ?? 0
            let index = ConfigurationPart.index(of: name, among: sizes.count)
            let room = min(limits.whole - whole, limits.part - sizes[index])
            if size > room {
                out[name] =
                    "this Service takes \(size) bytes of the site's configuration, and older Services leave \(room): "
                    + "a site's Services may take \(limits.whole) in all and \(limits.part) in each of "
                    + "\(sizes.count) parts; name fewer or shorter hosts, remove Services, or divide the site"
            } else {
                whole += size
                sizes[index] += size
            }
        }
        return out
    }

    package func digest(_ part: Int) -> String { parts[part].digest }

    package func bytes(_ part: Int) -> Data { parts[part].bytes ?? Data() }
}
