import NetworkModel
import Synchronization

/// Collects, from all loops, the services whose counts have changed, and wakes loop 0 once per batch.
///
/// A batch lasts until loop 0 takes it: while it waits for its time, connections come and go without waking anyone.
final class ServiceChanges: Sendable {
    private struct State {
        var services: Set<ServicePort> = []
        var isSignaled = false
    }

    private let state = Mutex(State())

    /// True when loop 0 has to be woken.
    func insert(_ service: ServicePort) -> Bool {
        state.withLock { state in
            state.services.insert(service)
            defer { state.isSignaled = true }
            return !state.isSignaled
        }
    }

    func take() -> Set<ServicePort> {
        state.withLock { state in
            state.isSignaled = false
            defer { state.services = [] }
            return state.services
        }
    }
}
