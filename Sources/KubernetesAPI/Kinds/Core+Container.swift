extension Core {
    package struct Container: Schema {
        package var name = ""
        package var image: String?
        package var imagePullPolicy: String?
        @OmitEmpty package var command: [String] = []
        @OmitEmpty package var args: [String] = []
        package var workingDir: String?
        @OmitEmpty package var env: [EnvVar] = []
        @OmitEmpty package var envFrom: [EnvFromSource] = []
        @OmitEmpty package var ports: [ContainerPort] = []
        @OmitEmpty package var resources = ResourceRequirements()
        @OmitEmpty package var volumeMounts: [VolumeMount] = []
        package var livenessProbe: Probe?
        package var readinessProbe: Probe?
        package var startupProbe: Probe?
        /// Of init containers only: `Always` makes a native sidecar.
        package var restartPolicy: String?
        package var securityContext: SecurityContext?
        package var terminationMessagePath: String?
        package var terminationMessagePolicy: String?
        package init() {}
    }

    package struct EnvVar: Schema {
        package var name = ""
        package var value: String?
        package var valueFrom: EnvVarSource?
        package init() {}

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }

        /// From a field of the pod, such as `status.podIP`.
        package init(name: String, fieldPath: String) {
            self.name = name
            self.valueFrom = EnvVarSource { $0.fieldRef = ObjectFieldSelector(fieldPath) }
        }
    }

    package struct EnvVarSource: Schema {
        package var fieldRef: ObjectFieldSelector?
        package var secretKeyRef: KeySelector?
        package var configMapKeyRef: KeySelector?
        package var resourceFieldRef: ResourceFieldSelector?
        package init() {}
    }

    package struct ObjectFieldSelector: Schema {
        package var apiVersion: String?
        package var fieldPath = ""
        package init() {}

        package init(_ fieldPath: String) { self.fieldPath = fieldPath }
    }

    package struct ResourceFieldSelector: Schema {
        package var containerName: String?
        package var resource = ""
        package var divisor: Quantity?
        package init() {}
    }

    /// One key of a Secret or ConfigMap.
    package struct KeySelector: Schema {
        package var name = ""
        package var key = ""
        package var optional: Bool?
        package init() {}
    }

    package struct EnvFromSource: Schema {
        package var prefix: String?
        package var configMapRef: LocalReference?
        package var secretRef: LocalReference?
        package init() {}
    }

    package struct LocalReference: Schema {
        package var name = ""
        package var optional: Bool?
        package init() {}
    }

    package struct ContainerPort: Schema {
        package var name: String?
        package var containerPort: Int32 = 0
        package var `protocol`: String?
        package var hostIP: String?
        package var hostPort: Int32?
        package init() {}

        package init(name: String, containerPort: Int32) {
            self.name = name
            self.containerPort = containerPort
            self.protocol = "TCP"
        }
    }

    package struct ResourceRequirements: Schema {
        @OmitEmpty package var requests: [String: Quantity] = [:]
        @OmitEmpty package var limits: [String: Quantity] = [:]
        package init() {}
    }

    package struct Probe: Schema {
        package var httpGet: HTTPGetAction?
        package var tcpSocket: TCPSocketAction?
        package var exec: ExecAction?
        package var initialDelaySeconds: Int32?
        package var timeoutSeconds: Int32?
        package var periodSeconds: Int32?
        package var successThreshold: Int32?
        package var failureThreshold: Int32?
        package var terminationGracePeriodSeconds: Int64?
        package init() {}
    }

    package struct HTTPGetAction: Schema {
        package var host: String?
        package var path: String?
        package var port = IntOrString.int(0)
        package var scheme: String?
        @OmitEmpty package var httpHeaders: [HTTPHeader] = []
        package init() {}
    }

    package struct HTTPHeader: Schema {
        package var name = ""
        package var value = ""
        package init() {}
    }

    package struct TCPSocketAction: Schema {
        package var host: String?
        package var port = IntOrString.int(0)
        package init() {}
    }

    package struct ExecAction: Schema {
        @OmitEmpty package var command: [String] = []
        package init() {}
    }
}
