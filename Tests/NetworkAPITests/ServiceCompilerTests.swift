import FoundationEssentials
import KubernetesAPI
import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import NetworkAPI

@Suite("Incremental compilation")
struct ServiceCompilerTests {
    private let start = Instant(nanoseconds: 0)

    /// One site's Services, changed at random, and what both ways of compiling make of them.
    private struct History {
        var random: SeededGenerator
        var services: [String: Service] = [:]
        var kept: [String: ServiceConfiguration] = [:]
        var now = Instant(nanoseconds: 0)
        var uids = 0
        var site = Site(metadata: meta("east"))

        /// Binds other names, or trusts others.
        mutating func changeBook(_ compiler: inout ServiceCompiler) throws {
            let letters = "BCD"
            site.spec.sites = try letters.compactMap { letter in
                guard Bool.random(using: &random) else { return nil }
                let other = letters.randomElement(using: &random) ?? letter
                return NamedSite(siteID: try siteID(other), name: "\(letter)".lowercased())
            }
            site.spec.imports = Bool.random(using: &random) ? Imports(trusted: ["b"]) : nil
            site.spec.exports = Bool.random(using: &random) ? Exports(default: .deny) : nil
            compiler.setBook(SiteBook(of: site, try siteID("A")))
        }

        /// Makes, edits, makes anew, deletes, or makes unreadable a Service of few names, with few addresses and core Services.
        mutating func change(_ compiler: inout ServiceCompiler) throws {
            let name = "s\(Int.random(in: 0..<9, using: &random))"
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                services[name] = nil
                kept[name] = nil
                compiler.remove(name)
            case 1:
                guard let part = compiler.service(name) else { return }
                services[name] = nil
                kept[name] = part
                compiler.keep(part)
            case 2:
                guard var service = services[name] else { return }
                service.metadata.deletionTimestamp = Timestamp(seconds: 1)
                services[name] = service
                kept[name] = nil
                compiler.set(service)
            default:
                let isAnew = services[name] == nil || Int.random(in: 0..<4, using: &random) == 0
                if isAnew { uids += 1 }
                let service = try make(name, like: isAnew ? nil : services[name])
                services[name] = service
                kept[name] = nil
                compiler.set(service)
            }
        }

        private mutating func make(_ name: String, like old: Service?) throws -> Service {
            let age = Int64.random(in: 0..<5, using: &random)
            let address = Int.random(in: 0..<8, using: &random)
            let number = UInt16.random(in: 1...3, using: &random)
            let (listens, breaks) = (
                Int.random(in: 0..<3, using: &random), Int.random(in: 0..<8, using: &random)
            )
            var service = try service(
                name,
                age: age,
                address: address < 4 ? "a\(address)" : nil,
                port: number
            ) {
                if listens == 0 { $0.listen = .init(enabled: true, serviceName: "core") }
                if listens == 1 { $0.listen = .init(enabled: false) }
                if breaks == 0 { $0.ports = [] }
                if breaks == 1 { $0.fromSites = ["b", "c"] }
                if breaks == 2 { $0.hosts = ["192.0.2.1"] }
            }
            service.metadata.uid = old?.metadata.uid ?? "uid-\(uids)"
            if let old { service.metadata.creationTimestamp = old.metadata.creationTimestamp }
            return service
        }
    }

    @Test(
        "K1: step by step or at once, the result is the same, over random histories",
        arguments: [true, false],
        Seeds.some(16)
    )
    func histories(isPlain: Bool, seed: UInt64) throws {
        for round in 0..<8 {
            var history = History(random: SeededGenerator(seed: seed &+ UInt64(round)))
            let first: Listeners =
                isPlain ? .direct(bind: nil) : .allocated(ListenerPorts(), now: start)
            var compiler = ServiceCompiler(listeners: first)
            var ports = ListenerPorts()
            for _ in 0..<40 {
                for _ in 0..<Int.random(in: 1...3, using: &history.random) {
                    try history.change(&compiler)
                }
                if Int.random(in: 0..<5, using: &history.random) == 0 {
                    try history.changeBook(&compiler)
                }
                let wait = Int64.random(in: 0...200, using: &history.random)
                history.now = history.now + .seconds(wait)
                compiler.settle(at: history.now)
                var kept = KeptParts()
                kept.services = history.kept.values.sorted { $0.name < $1.name }
                let whole = try compile(
                    site: history.site,
                    siteID: siteID("A"),
                    links: [],
                    services: Array(history.services.values),
                    listeners: isPlain
                        ? .direct(bind: nil) : .allocated(ports, now: history.now),
                    keeping: kept
                )
                ports = whole.ports
                #expect(compiler.services == whole.configuration.services)
                #expect(compiler.findings == whole.findings.filter { $0.object.kind == .service })
                if !isPlain { #expect(compiler.ports == ports) }
                for name in history.services.keys {
                    #expect(compiler.findings(of: name) == whole.findings(of: .service, name))
                }
            }
        }
    }

    @Test("K1: an edit of one of 1,000 Services looks at that one")
    func edit() throws {
        var compiler = ServiceCompiler(listeners: .allocated(ListenerPorts(), now: start))
        for index in 0..<1_000 { compiler.set(try service("s\(index)")) }
        #expect(compiler.settle(at: start).count == 1_000)
        let before = compiler.examined
        compiler.set(try service("s400", port: 81))
        #expect(compiler.settle(at: start) == ["s400"])
        #expect(compiler.examined - before == 1)
        // Who takes an address that another one waits for is looked at with that one.
        compiler.set(try service("heir", age: -5, address: "s7"))
        compiler.settle(at: start)
        #expect(compiler.service("heir") == nil)
        compiler.remove("s7")
        #expect(compiler.settle(at: start) == ["s7", "heir"])
        #expect(compiler.service("heir")?.address.text == "s7")
    }

    @Test("a Service that waits for a port gets the first that is free, and says so no more")
    func waitsForPort() throws {
        var compiler = ServiceCompiler(listeners: .allocated(ListenerPorts(), now: start))
        let most = ListenerPorts.range.count
        for index in 0...most { compiler.set(try service("s\(index)", age: Int64(most - index))) }
        compiler.settle(at: start)
        let last = "s\(most)"
        #expect(compiler.findings(of: last).map(\.reason) == [.portsExhausted])
        compiler.remove("s5")
        compiler.settle(at: start)
        #expect(compiler.findings(of: last).map(\.reason) == [.portsExhausted], "it rests")
        compiler.settle(at: start + ListenerPorts.rest)
        #expect(compiler.findings(of: last).isEmpty)
        #expect(compiler.service(last)?.ports.first?.listen?.port == 10_005)
    }
}

@Suite("Parts of a configuration")
struct ServiceLayoutTests {
    private func configuration(_ name: String, hosts: Int = 1) throws -> ServiceConfiguration {
        ServiceConfiguration(
            name: name,
            address: try #require(ServiceAddress(name)),
            ports: [],
            provider: .hosts((0..<hosts).map { "host-\($0).example.com" })
        )
    }

    private func services(_ layout: ServiceLayout) throws -> [String] {
        try (0..<layout.count).flatMap {
            try ConfigurationPart(layout.bytes($0)).services.map(\.name)
        }
    }

    @Test("K18: the number of parts grows at once and shrinks late; every service is in one")
    func count() throws {
        var layout = ServiceLayout(count: 0)
        var counts: [Int] = []
        for index in 0..<6_000 {
            try layout.set("s\(index)", configuration("s\(index)"))
            if [31, 32, 127, 128, 999, 4_095, 5_999].contains(index) {
                _ = layout.settle { $0 < $1 }
                counts.append(layout.count)
            }
        }
        #expect(counts == [0, 1, 2, 4, 16, 64, 64])
        #expect(layout.left.isEmpty)
        #expect(Set(try services(layout)) == Set((0..<6_000).map { "s\($0)" }))
        #expect(try services(layout).count == 6_000)
        #expect((0..<64).allSatisfy { layout.bytes($0).count < 100_000 })
        for index in 1_500..<6_000 { try layout.set("s\(index)", nil) }
        _ = layout.settle { $0 < $1 }
        #expect(layout.count == 64)
        for index in 100..<1_500 { try layout.set("s\(index)", nil) }
        _ = layout.settle { $0 < $1 }
        #expect(layout.count == 4)
        #expect(try services(layout).count == 100)
    }

    @Test("K18: what does not fit is left out, the youngest first, and comes back with the room")
    func bounds() throws {
        var limits = ServiceLayout.Limits()
        (limits.part, limits.whole, limits.few, limits.small) = (6_000, 20_000, 0, 0)
        var layout = ServiceLayout(count: 0, limits: limits)
        let names = (100..<700).map { "s\($0)" }
        for name in names { try layout.set(name, configuration(name)) }
        let changed = layout.settle { $0 < $1 }
        #expect(changed == Set(layout.left.keys) && !changed.isEmpty)
        let written = try services(layout)
        #expect(written.count + layout.left.count == names.count)
        #expect(Set(written).isDisjoint(with: layout.left.keys))
        for part in 0..<layout.count { #expect(layout.bytes(part).count <= limits.part) }
        #expect((0..<layout.count).reduce(0) { $0 + layout.bytes($1).count } <= limits.whole)
        // All of one size: whoever is in is older than whoever is out.
        #expect(try #require(written.max()) < #require(layout.left.keys.min()))
        let message = try #require(layout.left.values.first)
        #expect(message.contains("20000") && message.contains("remove Services"))
        for name in names.prefix(550) { try layout.set(name, nil) }
        #expect(layout.settle { $0 < $1 } == changed)
        #expect(layout.left.isEmpty)
        #expect(try services(layout).count == 50)
    }

    @Test("K18: one Service that is beyond a part leaves the others alone")
    func huge() throws {
        var limits = ServiceLayout.Limits()
        limits.part = 6_000
        var layout = ServiceLayout(count: 64, limits: limits)
        for index in 0..<2_000 { try layout.set("s\(index)", configuration("s\(index)")) }
        _ = layout.settle { $0 < $1 }
        let before = layout.left
        try layout.set("a-huge", configuration("a-huge", hosts: 400))
        _ = layout.settle { $0 < $1 }
        #expect(Set(layout.left.keys).subtracting(before.keys) == ["a-huge"])
    }
}
