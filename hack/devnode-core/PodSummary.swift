package import KubernetesAPI
package import NetworkModel

/// What a node knows about one container of a pod.
package struct ContainerRecord: Equatable, Sendable {
    package var name: String
    package var image: String
    package var isSidecar = false
    package var isInit = false
    package var state = Core.ContainerState()
    package var lastState: Core.ContainerState?
    package var restarts: Int32 = 0
    /// The startup probe has passed, or there is none and the container runs.
    package var started = false
    /// The readiness probe passes, or there is none and the container has started.
    package var ready = false
    package var id: String?

    package init(name: String, image: String, isSidecar: Bool, isInit: Bool) {
        self.name = name
        self.image = image
        self.isSidecar = isSidecar
        self.isInit = isInit
        self.state = .waiting(isInit && !isSidecar ? "PodInitializing" : "ContainerCreating")
    }

    /// The container has ended and is not started again; one that only waits for its restart has not.
    package var hasEnded = false

    var status: Core.ContainerStatus {
        Core.ContainerStatus {
            $0.name = name
            $0.image = image
            $0.imageID = image
            $0.containerID = id.map { "runc://\($0)" }
            $0.state = state
            $0.lastState = lastState
            $0.restartCount = restarts
            $0.started = started
            $0.ready = ready
        }
    }
}

extension Core.ContainerState {
    package static func waiting(_ reason: String, _ message: String? = nil) -> Self {
        Self { state in
            state.waiting = Core.ContainerStateWaiting {
                $0.reason = reason
                $0.message = message
            }
        }
    }

    package static func running(since time: Timestamp) -> Self {
        Self { state in
            state.running = Core.ContainerStateRunning { $0.startedAt = time }
        }
    }

    /// The exit code is 0...255; above 128 the number of a signal is in it.
    package static func terminated(
        exitCode: Int32,
        isShortOfMemory: Bool,
        startedAt: Timestamp,
        finishedAt: Timestamp
    ) -> Self {
        Self { state in
            state.terminated = Core.ContainerStateTerminated {
                $0.exitCode = exitCode
                $0.reason =
                    exitCode == 0 ? "Completed" : isShortOfMemory ? "OOMKilled" : "Error"
                $0.startedAt = startedAt
                $0.finishedAt = finishedAt
            }
        }
    }
}

/// The state of a pod's containers and what follows from it for the pod.
package struct PodSummary: Equatable, Sendable {
    package var containers: [ContainerRecord]
    /// One of each family of the cluster; none while the pod has no network.
    package var podIPs: [String] = []
    package var hostIPs: [String]
    package var startTime: Timestamp
    /// Init containers are through.
    package var initialized = false

    package init(of pod: Core.Pod, hostIPs: [String], startTime: Timestamp) {
        self.hostIPs = hostIPs
        self.startTime = startTime
        containers =
            pod.spec.initContainers.map {
                ContainerRecord(
                    name: $0.name,
                    image: $0.image ?? "",
                    isSidecar: $0.isSidecar,
                    isInit: true
                )
            }
            + pod.spec.containers.map {
                ContainerRecord(
                    name: $0.name,
                    image: $0.image ?? "",
                    isSidecar: false,
                    isInit: false
                )
            }
    }

    /// The status to report; transition times are kept while a condition's status stays.
    package func status(after previous: [Core.PodCondition], at now: Timestamp) -> Core.PodStatus {
        Core.PodStatus { status in
            status.phase = phase
            status.hostIP = hostIPs.first
            status.hostIPs = hostIPs.map { Core.PodIP($0) }
            status.podIP = podIPs.first
            status.podIPs = podIPs.map { Core.PodIP($0) }
            status.startTime = Timestamp(seconds: startTime.seconds)
            status.initContainerStatuses = containers.filter(\.isInit).map(\.status)
            status.containerStatuses = containers.filter { !$0.isInit }.map(\.status)
            status.conditions = conditions(after: previous, at: now)
        }
    }

    package var phase: String {
        let main = containers.filter { !$0.isInit }
        let failedInit = containers.contains {
            $0.isInit && !$0.isSidecar && $0.hasEnded && $0.state.terminated?.exitCode != 0
        }
        if failedInit { return "Failed" }
        guard initialized else { return "Pending" }
        if main.allSatisfy(\.hasEnded) {
            let failed = main.contains { $0.state.terminated?.exitCode != 0 }
            return failed ? "Failed" : "Succeeded"
        }
        let everStarted = main.contains {
            $0.state.running != nil || $0.state.terminated != nil || $0.restarts > 0
        }
        return everStarted ? "Running" : "Pending"
    }

    /// All long-running containers are ready.
    package var isReady: Bool {
        initialized && phase == "Running"
            && containers.allSatisfy { $0.ready || ($0.isInit && !$0.isSidecar) }
    }

    private func conditions(
        after previous: [Core.PodCondition],
        at now: Timestamp
    ) -> [Core.PodCondition] {
        let ended = phase == "Succeeded" || phase == "Failed"
        let unready = containers.filter { !$0.ready && !($0.isInit && !$0.isSidecar) }.map(\.name)
        let reason =
            isReady
            ? nil
            : ended ? (phase == "Failed" ? "PodFailed" : "PodCompleted") : "ContainersNotReady"
        let message =
            isReady || ended
            ? nil : "containers with unready status: [\(unready.joined(separator: " "))]"
        let values: [(String, Bool, String?, String?)] = [
            ("PodScheduled", true, nil, nil),
            ("PodReadyToStartContainers", !podIPs.isEmpty, nil, nil),
            ("Initialized", initialized, initialized ? nil : "ContainersNotInitialized", nil),
            ("ContainersReady", isReady, reason, message),
            ("Ready", isReady, reason, message),
        ]
        return values.map { type, holds, reason, message in
            let text = holds ? "True" : "False"
            let before = previous.first { $0.type == type && $0.status == text }
            return Core.PodCondition {
                $0.type = type
                $0.status = text
                $0.reason = reason
                $0.message = message
                $0.lastTransitionTime =
                    before?.lastTransitionTime ?? Timestamp(seconds: now.seconds)
            }
        }
    }
}
