import CertificateFixtures
import Glibc
import Testing

@testable import Proxy

/// A client's proxy with two sites to choose from, the first one cheaper.
struct Fork {
    let near: TestProxy
    let first: TestProxy
    let second: TestProxy
    let port: UInt16

    init(connect: Duration = .seconds(3), idle: Duration = .seconds(60)) throws {
        near = try TestProxy(FixtureSite("near"), connect: connect, idle: idle)
        first = try TestProxy(FixtureSite("first"), connect: connect)
        second = try TestProxy(FixtureSite("second"))
        for far in [first, second] {
            try near.link(to: far)
            try far.knows([near])
        }
        try near.knows([first, second])
        try near.targets([
            TestProxy.Way(site: first.site.id, cost: 1, route: [first.id]),
            TestProxy.Way(site: second.site.id, cost: 100, route: [second.id]),
        ])
        port = try near.listen()
    }

    func stop() { for proxy in [near, first, second] { proxy.stop() } }

    func isEmptied() -> Bool {
        eventually { [near, first, second].allSatisfy { (try? $0.isEmpty) == true } }
    }

    /// The name that a new client hears.
    func ask() throws -> String {
        let client = try #require(TestSocket.connected(to: port))
        let line = client.read(limit: 7).bytes
        return String(decoding: line, as: UTF8.self)
    }
}
