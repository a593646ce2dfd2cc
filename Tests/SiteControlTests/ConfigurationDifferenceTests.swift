import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import SiteControl

@Suite("Configuration difference")
struct ConfigurationDifferenceTests {
    private let site = SiteName(id: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)))
    private let other = SiteID(publicKeyDigest: Array(repeating: 2, count: 32))
    private let third = SiteID(publicKeyDigest: Array(repeating: 3, count: 32))

    private func link(_ name: String, cost: Int32 = 1) throws -> LinkConfiguration {
        try LinkConfiguration(name, to: other, at: HostAndPort(host: "a", port: 1), cost: cost)
    }

    private func difference(
        _ change: (inout SiteConfiguration) -> Void
    ) throws -> (ConfigurationDifference, SiteConfiguration) {
        let links = [try link("a"), try link("b", cost: 5)]
        let old = SiteConfiguration(
            site: site,
            allow: [SiteName(id: other)],
            acceptsLinks: true,
            links: links
        )
        var new = old
        change(&new)
        return (ConfigurationDifference(from: old, to: new), new)
    }

    @Test("an equal configuration asks for nothing")
    func equal() throws {
        let (difference, new) = try difference { _ in }
        #expect(difference == ConfigurationDifference(from: new, to: new))
        #expect(difference.dialed.isEmpty && difference.closed.isEmpty)
        #expect(!difference.routingChanged && difference.services.isEmpty)
    }

    @Test("a cost is routing's business only: no link is touched")
    func cost() throws {
        let cost = try #require(LinkCost(20))
        let (difference, new) = try difference { $0.links[1].cost = cost }
        var expected = ConfigurationDifference(from: new, to: new)
        expected.routingChanged = true
        #expect(difference == expected)
    }

    @Test("so is a cost of one service")
    func serviceCost() throws {
        let address = try #require(ServiceAddress("payments"))
        let (difference, new) = try difference { $0.links[1].serviceCosts = [address: .standard] }
        var expected = ConfigurationDifference(from: new, to: new)
        expected.routingChanged = true
        #expect(difference == expected)
        #expect(new.serviceCosts == [new.links[1].name: [address: .standard]])
    }

    @Test("P7: a Link under another name is replaced, not closed")
    func renamed() throws {
        let (difference, _) = try difference {
            let old = $0.links[0]
            $0.links[0] = LinkConfiguration(
                name: LinkName("c") ?? old.name,
                endpoints: old.endpoints,
                remoteSite: old.remoteSite,
                cost: old.cost,
                health: old.health
            )
        }
        #expect(difference.renamed.map(\.text) == ["a"] && difference.closed.isEmpty)
        #expect(difference.dialed.map(\.name.text) == ["c"])
    }

    @Test("B6: what ends with a port or a Service, and what is only another name")
    func endedServices() throws {
        let name = try #require(PortName("other"))
        let service = try ServiceConfiguration.backend()
        let key = try #require(ServicePort("backend/http"))
        let old = SiteConfiguration(site: site, services: [service])
        var renamed = old
        renamed.services[0].ports[0].name = name
        var moved = old
        moved.services[0].name = "another-object"
        var renumbered = old
        renumbered.services[0].ports[0].port = 1
        for kept in [old, renamed, moved, renumbered] {
            #expect(ConfigurationDifference(from: old, to: kept).endedServices.isEmpty)
        }
        let empty = SiteConfiguration(site: site)
        #expect(ConfigurationDifference(from: old, to: empty).endedServices == [key])
        renamed.services[0].ports[0].port = 1
        #expect(ConfigurationDifference(from: old, to: renamed).endedServices == [key])
        #expect(ConfigurationDifference(from: nil, to: old).endedServices.isEmpty)
    }

    @Test("other endpoints and heartbeats keep the lanes; another site does not")
    func links() throws {
        let (difference, new) = try difference {
            $0.links[0].endpoints = [HostAndPort(host: "b", port: 2)]
            $0.links[1].health.misses = 9
        }
        #expect(difference == ConfigurationDifference(from: new, to: new))
        let (moved, _) = try self.difference { $0.links[0].remoteSite = third }
        #expect(moved.closed.map(\.text) == ["a"])
        #expect(moved.dialed.map(\.name.text) == ["a"])
        let (more, pinned) = try self.difference { $0.links[0].nextRemoteSite = third }
        #expect(more == ConfigurationDifference(from: pinned, to: pinned))
    }

    @Test("links come and go, sites are disallowed, accepting ends")
    func others() throws {
        var added = try link("c")
        added.endpoints = [HostAndPort(host: "elsewhere", port: 1)]
        let fresh = added
        let (difference, _) = try difference {
            $0.links.removeFirst()
            $0.links.append(fresh)
            $0.allow = [SiteName(id: third)]
            $0.acceptsLinks = false
        }
        #expect(difference.closed.map(\.text) == ["a"])
        #expect(difference.dialed == [fresh])
        #expect(difference.disallowed == [other])
        #expect(difference.acceptsLinks == false)
        #expect(difference.routingChanged)
    }

    @Test("the first configuration dials everything")
    func first() throws {
        let service = try ServiceConfiguration.backend()
        let (_, new) = try difference { $0.services = [service] }
        let first = ConfigurationDifference(from: nil, to: new)
        #expect(first.dialed == new.links)
        #expect(first.acceptsLinks == true && first.routingChanged)
        #expect(first.services.after == new.services && first.services.before.isEmpty)
    }

    @Test("back-off doubles with jitter from 100 ms to 10 s and starts again after a success")
    func backoff() {
        var random = SystemRandomNumberGenerator()
        var backoff = Backoff.dialing
        for expected in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            let wait = backoff.next(using: &random)
            #expect(wait >= .milliseconds(expected / 2) && wait <= .milliseconds(expected))
        }
        backoff.reset()
        #expect(backoff.next(using: &random) <= .milliseconds(100))
    }
}

extension ConfigurationDifference {
    fileprivate init(from old: SiteConfiguration?, to new: SiteConfiguration) {
        self.init(
            from: old,
            to: new,
            services: ServiceDifference(from: old?.services ?? [], to: new.services)
        )
    }
}
