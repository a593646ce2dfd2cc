import Injection
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

struct ServiceChoiceTests {
    private let all = [
        offered("web", port("http", 80), port("https", 443)),
        offered("db", host: "database", port("tcp", 5432)),
    ]

    private func resolve(_ text: String) throws(InjectionProblem) -> [OfferedService] {
        try ServiceChoice(text).resolve(among: all)
    }

    private func problem(_ text: String) -> String? {
        do throws(InjectionProblem) {
            _ = try resolve(text)
            return nil
        } catch { return error.description }
    }

    @Test func aNameIsAllPortsAndAPortIsThatOne() throws {
        #expect(try resolve("web, db") == all)
        #expect(try resolve("web/https").first?.ports == [port("https", 443)])
        #expect(try resolve("web/https,web/http,web/https").map(\.ports.count) == [2])
        #expect(try resolve("db/tcp:5432") == [all[1]])
    }

    @Test func withANumberNothingIsLookedUp() throws {
        #expect(try resolve("cache/redis:6379") == [offered("cache", port("redis", 6379))])
        #expect(
            try ServiceChoice("cache/redis:6379").resolve(among: [])
                == [offered("cache", port("redis", 6379))]
        )
    }

    @Test(arguments: [
        ("", "names no service"), ("web,", "names no service"), ("We b!", "names no service"),
        ("web/", "names no service"), ("web/http:", "names no service"),
        ("web db", "names no service"),
        ("cache/redis:0", "names no service"), ("cache/redis:65536", "names no service"),
        ("cache", "it listens for db, web"), ("cache", "cache/PORTNAME:PORT"),
        ("web/grpc", "it has http, https"), ("db/tcp:1", "is 5432, not 1"),
    ])
    func whatIsWrongIsSaidWithTheRemedy(text: String, words: String) {
        #expect(problem(text)?.contains(words) == true, "\(problem(text) ?? "")")
    }

    @Test func aServiceThatOnlyOffersIsNotListenedFor() {
        let ports = [ServiceSpec.Port(name: port("tcp", 1).name, port: 5432)]
        func service(_ change: (inout ServiceSpec) -> Void) -> Service {
            var spec = ServiceSpec(ports: ports)
            change(&spec)
            return Service(metadata: ObjectMeta { $0.name = "db" }, spec: spec)
        }
        #expect(OfferedService(service { $0.selector = ["app": "db"] }) == nil)
        let consumed = OfferedService(service { $0.listen = .init(serviceName: "database") })
        #expect(consumed == offered("db", host: "database", port("tcp", 5432)))
    }
}
