import KubernetesAPI
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import StatusSummaries
import Testing

@testable import Controller

/// An `InputHealth` in virtual time, asked for news when it wants to be, and at each note.
private struct Watchtower {
    static let kinds = ["sites.tieline.dev", "deployments.apps", "services"]

    var health = InputHealth()
    private(set) var now: Duration = .zero
    private(set) var log: [String] = []
    /// How often all Sites, and the Sites of some namespaces, were looked at.
    private(set) var looks = 0
    private(set) var looksAtSome: [Set<String>] = []
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    init() { for kind in Self.kinds { note(.kind(kind), .asking, .following) } }

    mutating func note(_ input: Input, _ all: ReflectorHealth...) {
        for one in all {
            _ = health.note(input, one, at: start + now, Samples.now + now)
            settle()
        }
    }

    /// Waits as the one who drives it does: until the time that it names.
    mutating func wait(_ time: Duration) {
        let end = now + time
        while let next = settle(), next - start <= end {
            now = max(next - start, now + .milliseconds(20))
        }
        now = max(now, end)
        settle()
    }

    @discardableResult
    private mutating func settle() -> Instant? {
        let news = health.settle(at: start + now)
        log += news.begun.map { "\(now.components.seconds): \(InputAdvice.name($0))" }
        log += news.ended.map {
            "\(now.components.seconds): \(InputAdvice.name($0.input)) after \($0.lasted.components.seconds)"
        }
        switch news.concerned {
        case .none: break
        case .all: looks += 1
        case .namespaces(let names): looksAtSome.append(names)
        }
        return news.next
    }

    func told(_ namespace: String = "shop") -> String? {
        InputAdvice.text(health.shown(in: namespace), isOfOneSite: true)
    }
}

/// What cannot be read, since when, and when it is told.
@Suite("What cannot be read")
struct InputHealthTests {
    private let deployments = Input.kind("deployments.apps")
    private let secret = Input.secret(ObjectKey(namespace: "shop", name: "tieline-site-ca"))
    private let gateway = Input.gateway(ObjectKey(namespace: "shop", name: "tieline-proxy-1"))

    @Test("K2: what lasts is told once at its beginning and once at its end, with what to do")
    func lasting() throws {
        var tower = Watchtower()
        tower.note(deployments, .asking, .failed(.refused(403)))
        tower.wait(.milliseconds(4_900))
        #expect(tower.log.isEmpty && tower.told() == nil)
        tower.wait(.seconds(1))
        #expect(tower.log == ["5: deployments.apps"])
        let told = try #require(tower.told())
        #expect(told.hasPrefix("cannot read deployments.apps since 2027-01-15T08:00:00Z: "))
        #expect(told.contains("403") && told.contains("apply the ClusterRoles"))
        for _ in 0..<100 {
            tower.wait(.seconds(10))
            tower.note(deployments, .asking, .failed(.refused(403)))
        }
        #expect(tower.log.count == 1 && tower.looks == 1 && tower.told() == told)
        tower.note(deployments, .asking, .following)
        tower.wait(.seconds(1))
        #expect(tower.told() == told)
        tower.wait(.seconds(2))
        #expect(tower.told() == nil)
        #expect(tower.log.last == "1007: deployments.apps after 1007")
        tower.wait(.seconds(20))
        #expect(tower.log.count == 2 && tower.looks == 2 && tower.looksAtSome.isEmpty)
    }

    @Test("K2: what passes within moments, and each end of a watch, is told to nobody")
    func passing() {
        var tower = Watchtower()
        for _ in 0..<100 {
            tower.note(deployments, .asking, .failed(.failed(503)))
            tower.wait(.seconds(3))
            tower.note(deployments, .asking, .following)
            tower.wait(.seconds(3))
            tower.note(deployments, .asking)
            tower.wait(.seconds(10))
            tower.note(deployments, .following)
        }
        #expect(tower.log.isEmpty && tower.looks == 0)
        #expect(tower.health.settle(at: Instant(nanoseconds: .max)).next == nil)
    }

    @Test("K2: watches that may be opened and end at once do not count as reading")
    func flapping() {
        var tower = Watchtower()
        for _ in 0..<20 {
            tower.note(deployments, .asking, .following, .asking, .failed(.undecodable))
            tower.wait(.seconds(1))
        }
        #expect(tower.log == ["5: deployments.apps"] && tower.looks == 1)
    }

    @Test("K2: an answer that does not come is waited for longer than one that is none")
    func silence() {
        var tower = Watchtower()
        tower.note(deployments, .asking)
        tower.wait(.seconds(14))
        #expect(tower.log.isEmpty)
        tower.wait(.seconds(2))
        #expect(tower.log == ["15: deployments.apps"])
        #expect(tower.told()?.contains("does not answer") == true)
    }

    @Test(
        "K2: while the API server is away no status is touched, nor for what is behind afterwards"
    )
    func absence() {
        var tower = Watchtower()
        for second in 0..<120 {
            if second % 6 == 0 {
                for kind in Watchtower.kinds { tower.note(.kind(kind), .asking, .failed(.away)) }
                tower.note(secret, .asking, .failed(.silent))
            }
            tower.wait(.seconds(1))
        }
        #expect(tower.log.count == 4)
        #expect(tower.told() == nil)
        // They are back one after another, as their waits end.
        for kind in Watchtower.kinds {
            tower.wait(.seconds(9))
            tower.note(.kind(kind), .asking, .following)
        }
        tower.note(secret, .asking, .following)
        tower.wait(.seconds(60))
        #expect(tower.looks == 0 && tower.looksAtSome.isEmpty && tower.log.count == 8)
    }

    @Test("K2: a kind that stays silent when the API server is back is told")
    func oneStays() {
        var tower = Watchtower()
        for kind in Watchtower.kinds { tower.note(.kind(kind), .asking, .failed(.silent)) }
        tower.wait(.seconds(30))
        for kind in ["sites.tieline.dev", "services"] {
            tower.note(.kind(kind), .asking, .following)
        }
        tower.wait(.seconds(30))
        #expect(tower.told() == nil)
        tower.wait(.seconds(11))
        #expect(tower.told()?.contains("deployments.apps") == true && tower.looks == 1)
        // A server that answers is not away, however little of it can be read.
        var refused = Watchtower()
        for kind in Watchtower.kinds {
            refused.note(.kind(kind), .asking, .failed(.refused(403)))
        }
        refused.wait(.seconds(6))
        #expect(refused.told()?.contains("deployments.apps since") == true && refused.looks == 1)
    }

    @Test("K2: all Sites are looked at every ten seconds at most, however kinds come and go")
    func pace() {
        var tower = Watchtower()
        for second in 0..<60 {
            tower.note(.kind("kind\(second)"), .asking, .failed(.failed(500)))
            tower.wait(.seconds(1))
        }
        #expect(tower.looks >= 5 && tower.looks <= 7)
    }

    @Test("K2: a Secret and a gateway concern the Site of their namespace alone")
    func byNamespace() {
        var tower = Watchtower()
        tower.note(secret, .asking, .failed(.refused(403)))
        tower.wait(.seconds(6))
        #expect(tower.told()?.contains("secrets tieline-site-ca since") == true)
        #expect(tower.told("other") == nil)
        tower.note(gateway, .failed(.silent))
        tower.wait(.seconds(19))
        #expect(tower.log.count == 1)
        tower.wait(.seconds(2))
        #expect(tower.told()?.contains("snapshots of tieline-proxy-1 since") == true)
        #expect(tower.told()?.contains("reach its port") == true)
        #expect(tower.looks == 0 && tower.looksAtSome == [["shop"], ["shop"]])
        tower.note(gateway, .following)
        tower.health.forgetSecrets(of: "shop")
        tower.wait(.seconds(1))
        #expect(tower.told() == nil)
    }

    @Test("K2: one poll that is answered ends what is told of a gateway, and its patience")
    func polls() {
        var tower = Watchtower()
        for _ in 0..<10 {
            tower.note(gateway, .failed(.silent))
            tower.wait(.seconds(15))
            tower.note(gateway, .following)
        }
        #expect(tower.log.isEmpty)
    }

    @Test("K2: another trouble in the place of the first is told, at most every minute")
    func change() {
        var tower = Watchtower()
        tower.note(deployments, .asking, .failed(.refused(403)))
        tower.wait(.seconds(6))
        for second in 0..<120 {
            tower.note(deployments, .asking, .failed(second % 2 == 0 ? .notServed : .failed(503)))
            tower.wait(.seconds(1))
        }
        #expect(tower.looks >= 2 && tower.looks <= 3)
        #expect(tower.told()?.contains("403") == false && tower.log.count == 1)
    }

    @Test("every trouble has a remedy of its own for what it concerns")
    func advice() {
        let troubles: [ReadingTrouble] = [
            .refused(401), .refused(403), .notServed, .failed(503), .silent, .away, .undecodable,
            .broken, .unasked,
        ]
        let words = Set(troubles.map { InputAdvice.advice(deployments, $0) })
        #expect(words.count == troubles.count)
        #expect(
            InputAdvice.advice(.kind("sites.tieline.dev"), .notServed)
                .contains("CustomResourceDefinitions")
        )
        var many: [Input: InputHealth.Trouble] = [:]
        for number in 0..<500 {
            let key = ObjectKey(namespace: "n\(number)", name: "tieline-site-ca")
            many[.secret(key)] = .init(
                since: Instant(nanoseconds: 0),
                time: Samples.now,
                reason: .refused(403)
            )
        }
        let text = InputAdvice.text(many, isOfOneSite: false)
        #expect(text?.contains("and 488 more") == true && (text?.count ?? 0) < 1000)
    }
}

/// How a Site tells it.
@Suite("What a Site says of what cannot be read")
struct InformedTests {
    private func facts() throws -> SiteFacts {
        var facts = SiteFacts()
        facts.generation = 5
        let snapshot = try Samples.snapshot()
        facts.view = SiteView(gateways: [Samples.gateway("a", snapshot: snapshot)])
        return facts
    }

    @Test("K2: an unreadable kind is told beside Ready, which stays true, and is gone with its end")
    func beside() throws {
        var site = Samples.site()
        site.status = SiteSummary.make(site: site, facts: try facts(), at: Samples.now)
        #expect(site.status.conditions.isTrue("Ready"))
        let before = site.status
        var blind = try facts()
        blind.unreadable = "cannot read deployments.apps"
        site.status = SiteSummary.make(site: site, facts: blind, at: Samples.now)
        #expect(site.status.conditions.isTrue("Ready") && site.status.summary == "Ready")
        let told = site.status.conditions[type: "Informed"]
        #expect(told?.status == .no && told?.reason == "CannotRead")
        #expect(told?.message == "cannot read deployments.apps; what was read last holds")
        site.status = SiteSummary.make(site: site, facts: try facts(), at: Samples.now)
        #expect(site.status.conditions == before.conditions)
    }

    @Test("K2: Secrets that cannot be read take Ready from no generation that was programmed")
    func secrets() throws {
        var site = Samples.site()
        site.status = SiteSummary.make(site: site, facts: try facts(), at: Samples.now)
        // A new process: nothing is known of the configuration, and the gateways cannot be asked.
        var blind = SiteFacts()
        blind.readFailure = "cannot read secrets tieline-site-ca: 403"
        blind.view = SiteView(gateways: [Samples.gateway("a", snapshot: nil)])
        let status = SiteSummary.make(site: site, facts: blind, at: Samples.now)
        #expect(status.conditions.isTrue("Ready") && status.conditions.isTrue("Programmed"))
        #expect(status.conditions[type: "Informed"]?.message.contains("tieline-site-ca") == true)
        // Of another generation nothing is known.
        site.metadata.generation = 4
        let next = SiteSummary.make(site: site, facts: blind, at: Samples.now)
        #expect(next.conditions[type: "Programmed"]?.status == .unknown)
        #expect(next.conditions[type: "Programmed"]?.reason == "CannotRead")
        #expect(next.conditions.isTrue("Reconciling") && !next.conditions.isTrue("Ready"))
    }
}
