import NetworkModel
import ProxyContract
import Testing

@testable import Proxy

@Suite("Snapshot store", .timeLimit(.minutes(1)))
struct SnapshotStoreTests {
    private let proxy = ProxyID(
        site: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)),
        instance: 1
    )

    private func snapshot(_ count: UInt64) -> ProxySnapshot {
        var snapshot = ProxySnapshot(proxy: proxy)
        snapshot.appliedCount = count
        return snapshot
    }

    @Test("a version grows with every difference, and with nothing else")
    func versions() {
        let store = SnapshotStore(proxy: proxy)
        store.offer(snapshot(1))
        #expect(store.current.version == 1)
        store.offer(snapshot(1))
        #expect(store.current.version == 1)
        store.offer(snapshot(2))
        #expect(store.current.version == 2)
    }

    @Test("who waits gets the next one at once, and the old one after its time")
    func waiting() async {
        let store = SnapshotStore(proxy: proxy)
        store.offer(snapshot(1))
        async let next = store.wait(after: 1, limit: .seconds(30))
        store.offer(snapshot(2))
        #expect(await next.version == 2)
        #expect(await store.wait(after: 0, limit: .seconds(30)).version == 2)
        for milliseconds in 0..<5 {
            let old = await store.wait(after: 2, limit: .milliseconds(milliseconds))
            #expect(old.version == 2)
        }
        let canceled = Task { await store.wait(after: 2, limit: .seconds(30)) }
        canceled.cancel()
        #expect(await canceled.value.version == 2)
    }
}
