extension Core {
    package struct VolumeMount: Schema {
        package var name = ""
        package var mountPath = ""
        package var subPath: String?
        package var readOnly: Bool?
        package init() {}

        package init(name: String, mountPath: String, readOnly: Bool? = nil) {
            self.name = name
            self.mountPath = mountPath
            self.readOnly = readOnly
        }
    }

    /// Exactly one source is set.
    package struct Volume: Schema {
        package var name = ""
        package var secret: SecretVolumeSource?
        package var configMap: ConfigMapVolumeSource?
        package var emptyDir: EmptyDirVolumeSource?
        package var projected: ProjectedVolumeSource?
        package var downwardAPI: DownwardAPIVolumeSource?
        package var hostPath: HostPathVolumeSource?
        package init() {}
    }

    package struct SecretVolumeSource: Schema {
        package var secretName: String?
        @OmitEmpty package var items: [KeyToPath] = []
        package var defaultMode: Int32?
        package var optional: Bool?
        package init() {}
    }

    package struct ConfigMapVolumeSource: Schema {
        package var name: String?
        @OmitEmpty package var items: [KeyToPath] = []
        package var defaultMode: Int32?
        package var optional: Bool?
        package init() {}
    }

    package struct KeyToPath: Schema {
        package var key = ""
        package var path = ""
        package var mode: Int32?
        package init() {}
    }

    package struct EmptyDirVolumeSource: Codable, Equatable, Sendable {
        /// `Memory` for a tmpfs.
        package var medium: String?
        package var sizeLimit: Quantity?

        package init(medium: String? = nil, sizeLimit: Quantity? = nil) {
            self.medium = medium
            self.sizeLimit = sizeLimit
        }
    }

    package struct HostPathVolumeSource: Schema {
        package var path = ""
        package var type: String?
        package init() {}
    }

    package struct ProjectedVolumeSource: Schema {
        @OmitEmpty package var sources: [VolumeProjection] = []
        package var defaultMode: Int32?
        package init() {}
    }

    package struct VolumeProjection: Schema {
        package var serviceAccountToken: ServiceAccountTokenProjection?
        package var configMap: ConfigMapVolumeSource?
        package var secret: SecretProjection?
        package var downwardAPI: DownwardAPIVolumeSource?
        package init() {}
    }

    package struct SecretProjection: Schema {
        package var name: String?
        @OmitEmpty package var items: [KeyToPath] = []
        package var optional: Bool?
        package init() {}
    }

    package struct ServiceAccountTokenProjection: Schema {
        package var audience: String?
        package var expirationSeconds: Int64?
        package var path = ""
        package init() {}
    }

    package struct DownwardAPIVolumeSource: Schema {
        @OmitEmpty package var items: [DownwardAPIVolumeFile] = []
        package var defaultMode: Int32?
        package init() {}
    }

    package struct DownwardAPIVolumeFile: Schema {
        package var path = ""
        package var fieldRef: ObjectFieldSelector?
        package var resourceFieldRef: ResourceFieldSelector?
        package var mode: Int32?
        package init() {}
    }
}
