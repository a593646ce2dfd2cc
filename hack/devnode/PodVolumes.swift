import DevnodeCore
import FoundationEssentials
import Glibc
import KubernetesAPI
import KubernetesClient

/// The volumes of one pod as directories of the node.
struct PodVolumes {
    private struct Token {
        var text: String
        var renewal: ContinuousClock.Instant
    }

    private let base: String
    private var followed: [String: AtomicDirectory] = [:]
    private var tokens: [String: Token] = [:]
    /// Where each volume is on the node.
    private(set) var sources: [String: String] = [:]
    /// When the first token has to be asked for again.
    var nextRenewal: ContinuousClock.Instant? { tokens.values.map(\.renewal).min() }

    init(base: String) { self.base = base }

    /// Makes the volumes, or brings those that follow API objects up to date.
    ///
    /// A missing object is a `ConfigurationProblem`; what was written before stays then.
    mutating func update(
        for pod: Core.Pod,
        references: References,
        client: KubernetesClient
    ) async throws {
        for volume in pod.spec.volumes {
            let path = "\(base)/\(volume.name)"
            if let contents = try VolumeFiles(of: volume, in: pod, references: references) {
                var files = contents.files
                for token in contents.tokens {
                    let text = try await self.token(token, volume.name, pod, client)
                    files[token.path] = Data(text.utf8)
                }
                var directory = try followed[volume.name] ?? AtomicDirectory(path: path)
                try directory.replace(with: files)
                followed[volume.name] = directory
                sources[volume.name] = path
            } else if let host = volume.hostPath {
                sources[volume.name] = host.path
            } else if volume.emptyDir != nil {
                try Files.makeDirectory(path)
                // Containers of any user write to it.
                try SystemError.checkErrno(unsafe chmod(path, 0o777), "open \(path) to all")
                sources[volume.name] = path
            } else {
                throw ConfigurationProblem("volume \"\(volume.name)\" is of a kind without support")
            }
        }
    }

    private mutating func token(
        _ projection: Core.ServiceAccountTokenProjection,
        _ volume: String,
        _ pod: Core.Pod,
        _ client: KubernetesClient
    ) async throws -> String {
        let key = "\(volume)/\(projection.path)"
        if let token = tokens[key], token.renewal > .now { return token.text }
        let seconds = projection.expirationSeconds ?? 3600
        let request = Authentication.TokenRequest { request in
            request.spec.audiences = projection.audience.map { [$0] }
            request.spec.expirationSeconds = seconds
            request.spec.boundObjectRef = Authentication.BoundObjectReference {
                $0.apiVersion = "v1"
                $0.kind = "Pod"
                $0.name = pod.metadata.name
                $0.uid = pod.metadata.uid
            }
        }
        let account = ObjectKey(
            namespace: pod.metadata.namespace,
            name: pod.spec.serviceAccountName ?? "default"
        )
        let answer: Authentication.TokenRequest
        do throws(APIError) {
            answer = try await client.createToken(serviceAccount: account, request)
        } catch {
            // The old token is better than none while the API server is away.
            if let token = tokens[key] { return token.text }
            throw ConfigurationProblem("no token for service account \(account): \(error)")
        }
        guard let text = answer.status?.token else {
            throw ConfigurationProblem("the API server gave no token for \(account)")
        }
        tokens[key] = Token(text: text, renewal: .now + .seconds(seconds) * 4 / 5)
        return text
    }

    /// What a container mounts, parents before what is inside them.
    func mounts(of container: Core.Container) throws -> [ContainerSpec.Mount] {
        try container.volumeMounts.sorted { $0.mountPath < $1.mountPath }.map { mount in
            guard var source = sources[mount.name] else {
                throw ConfigurationProblem("no volume \"\(mount.name)\"")
            }
            let isFollowed = followed[mount.name] != nil
            if let part = mount.subPath, !part.isEmpty {
                source += "/" + part
                if !isFollowed, !FileManager.default.fileExists(atPath: source) {
                    try Files.makeDirectory(source)
                }
            }
            guard FileManager.default.fileExists(atPath: source) else {
                throw ConfigurationProblem("\(source) does not exist")
            }
            return ContainerSpec.Mount(
                source: source,
                target: mount.mountPath,
                isReadOnly: mount.readOnly == true || isFollowed
            )
        }
    }
}
