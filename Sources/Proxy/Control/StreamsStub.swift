import Balancing
import NetworkModel
import SiteConfiguration
import Synchronization
import Wire

struct KeyRing: Sendable {
    var keys: [ProxyID: [UInt8]]
    init(_ keys: [ProxyID: [UInt8]] = [:]) { self.keys = keys }
}

struct ServiceEntry: Sendable {
    let shared: SharedService
    let timeouts: ServiceTimeouts
}

struct DataPlaneView: Sendable {
    var proxy: ProxyID
    var isEdge: Bool
    var services: [ServicePort: ServiceEntry]
    var routes: [ServicePort: [SiteID: [[ProxyID]]]]
    var keys: KeyRing
    var isDraining: Bool
}

final class SharedService: Sendable {
    let service: ServicePort
    private let state: Mutex<(ServiceBalancer, EndpointBalancer, [Target], ServiceCounters)>
    private let onChange: @Sendable () -> Void

    init(service: ServicePort, onChange: @escaping @Sendable () -> Void) {
        self.service = service
        self.onChange = onChange
        state = Mutex(
            (
                ServiceBalancer(service: service), EndpointBalancer(), [],
                ServiceCounters(service: service)
            )
        )
    }

    func update(targets: [Target], at now: Instant) {
        state.withLock {
            $0.0.update(targets, at: now)
            $0.2 = targets
        }
    }
    func update(servers: [EndpointBalancer.Server]) { state.withLock { $0.1.update(servers) } }
    func setOthers(_ counts: [SiteID: UInt64]) { state.withLock { $0.0.setOthers(counts) } }
    var targets: [Target] { state.withLock { $0.2 } }
    var states: [TargetState] { state.withLock { $0.0.states } }
    var hasTarget: Bool { state.withLock { $0.0.hasTarget } }
    var ownCounts: [SiteID: UInt64] { state.withLock { $0.0.ownCounts } }
    func takeRecords() -> [FailoverRecord] { state.withLock { $0.0.takeRecords() } }
    var readyCount: UInt32 { state.withLock { $0.1.readyCount } }
    var terminatingCount: UInt32 { state.withLock { $0.1.terminatingCount } }
    var isIdle: Bool { state.withLock { $0.0.ownCounts.isEmpty && $0.1.openCounts.isEmpty } }
    var counters: ServiceCounters { state.withLock { $0.3 } }
}

final class StreamEngine {
    init(loop: EventLoop, view: DataPlaneView) {}
    func update(_ view: DataPlaneView) {}
    func attach(_ lane: Lane, neighbor: ProxyID, isEdge: Bool) -> StreamCarrier { StreamCarrier() }
    func accepted(_ socket: consuming FileDescriptor, service: ServicePort, client: Endpoint) {}
    func resetAll() {}
    var streamCount: Int { 0 }
}

final class StreamCarrier {
    func received(_ type: FrameType, label: UInt32, _ payload: RawSpan) {}
    func produceData(into buffer: inout FrameBuffer, limit: Int) {}
    func closed() {}
    var activeStreams: UInt64 { 0 }
    var openedStreams: UInt64 { 0 }
}
