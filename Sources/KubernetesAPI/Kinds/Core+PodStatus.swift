package import NetworkModel

extension Core {
    package struct PodStatus: Schema {
        /// Pending, Running, Succeeded, Failed or Unknown.
        package var phase: String?
        @OmitEmpty package var conditions: [PodCondition] = []
        package var message: String?
        package var reason: String?
        package var hostIP: String?
        @OmitEmpty package var hostIPs: [PodIP] = []
        package var podIP: String?
        @OmitEmpty package var podIPs: [PodIP] = []
        package var startTime: Timestamp?
        @OmitEmpty package var initContainerStatuses: [ContainerStatus] = []
        @OmitEmpty package var containerStatuses: [ContainerStatus] = []
        package var qosClass: String?
        package var observedGeneration: Int64?
        package init() {}

        package var isReady: Bool {
            conditions.contains { $0.type == "Ready" && $0.status == "True" }
        }

        /// The addresses of the pod, of either family, its preferred one first.
        package var addresses: [String] {
            let all = podIPs.isEmpty ? [podIP ?? ""] : podIPs.map(\.ip)
            return all.filter { !$0.isEmpty }
        }
    }

    package struct PodIP: Schema {
        package var ip = ""
        package init() {}

        package init(_ address: String) { ip = address }
    }

    package struct PodCondition: Schema {
        package var type = ""
        package var status = ""
        package var reason: String?
        package var message: String?
        package var lastTransitionTime: Timestamp?
        package var lastProbeTime: Timestamp?
        package init() {}
    }

    package struct ContainerStatus: Schema {
        package var name = ""
        package var state: ContainerState?
        package var lastState: ContainerState?
        package var ready = false
        package var restartCount: Int32 = 0
        package var image = ""
        package var imageID = ""
        package var containerID: String?
        package var started: Bool?
        package init() {}
    }

    package struct ContainerState: Schema {
        package var waiting: ContainerStateWaiting?
        package var running: ContainerStateRunning?
        package var terminated: ContainerStateTerminated?
        package init() {}
    }

    package struct ContainerStateWaiting: Schema {
        package var reason: String?
        package var message: String?
        package init() {}
    }

    package struct ContainerStateRunning: Schema {
        package var startedAt: Timestamp?
        package init() {}
    }

    package struct ContainerStateTerminated: Schema {
        package var exitCode: Int32 = 0
        package var signal: Int32?
        package var reason: String?
        package var message: String?
        package var startedAt: Timestamp?
        package var finishedAt: Timestamp?
        package var containerID: String?
        package init() {}
    }
}
