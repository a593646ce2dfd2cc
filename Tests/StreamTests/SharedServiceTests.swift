import NetworkModel
import ProxyContract
import Streaming
import Synchronization
import Testing

@testable import Proxy

@Suite("Shared service")
struct SharedServiceTests {
    private final class Count: Sendable {
        let value = Atomic(0)
    }

    @Test("who watches a service is told of the first change since it looked, and of no other")
    func changes() {
        let told = Count()
        let service = SharedService(service: TestProxy.backend) {
            told.value.wrappingAdd(1, ordering: .relaxed)
        }
        let seen = { told.value.load(ordering: .relaxed) }
        service.count(.opened)
        service.count(.opened)
        #expect(seen() == 1)
        service.willRead()
        #expect(seen() == 1 && service.counters.active == 2)
        service.count(.closed)
        service.count(.closed)
        #expect(seen() == 2)
    }
}
