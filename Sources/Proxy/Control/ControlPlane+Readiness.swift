import NetworkModel
import SiteControl

// When a proxy is ready: a new gateway that clients reach before it knows the way would refuse them.

extension ControlPlane {
    /// How long the advertisements of neighbors may take once the links are up; they are batched for 100 ms.
    private static let advertising: Duration = .milliseconds(500)
    /// A link that is neither up nor failed by then holds nobody back any more.
    private static let patience: Duration = .seconds(3)
    private static let look: Duration = .milliseconds(100)

    func updateReadiness() {
        let isReady =
            sidecar?.isReady ?? (document != nil && isOpenInside && hasSettled)
        snapshots.setReady(isReady && !isDraining)
    }

    private var isOpenInside: Bool {
        core.options.internalPort == nil || lanePorts.isOpen(.inside)
    }

    /// Waits until every Link was tried and what lies behind it was heard of; called with the first configuration.
    func settle() {
        let start = loop.now
        settle(since: start, until: start + Self.patience)
    }

    private func settle(since start: Instant, until end: Instant) {
        loop.schedule(after: Self.look) { [weak self] _ in
            guard let self else { return }
            let isUndecided = links.values.contains { !$0.isConnected && $0.failure == nil }
            // The time for advertisements begins when the last link is decided.
            let start = isUndecided ? loop.now : start
            if loop.now - start >= Self.advertising || loop.now >= end {
                hasSettled = true
                updateReadiness()
            } else {
                settle(since: start, until: end)
            }
        }
    }
}
