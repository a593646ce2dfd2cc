import FoundationEssentials
import Glibc
import HTTPTransport

extension ClientConfiguration {
    /// Finds a configuration as kubectl's users expect.
    ///
    /// An explicit kubeconfig, else `KUBECONFIG`, else `~/.kube/config`, else the pod's service account: also in a pod a
    /// kubeconfig wins.
    package static func load(
        kubeconfig: String? = nil,
        context: String? = nil,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(ConfigurationError) -> ClientConfiguration {
        if let kubeconfig { return try load(files: [kubeconfig], context: context) }
        let isPod = environment["KUBERNETES_SERVICE_HOST"] != nil
        if let paths = environment["KUBECONFIG"], !paths.isEmpty {
            let files = paths.split(separator: ":").map(String.init)
            // As with kubectl: a list of which no file is there says nothing.
            if !isPod || files.contains(where: { FileManager.default.fileExists(atPath: $0) }) {
                return try load(files: files, context: context)
            }
        } else if let home = environment["HOME"], !home.isEmpty {
            let file = home + "/.kube/config"
            if FileManager.default.fileExists(atPath: file) {
                return try load(files: [file], context: context)
            }
        }
        if isPod { return try inCluster(environment: environment) }
        throw ConfigurationError(
            "no API server known: set KUBECONFIG, give --kubeconfig, or run inside a cluster"
        )
    }

    /// The configuration that every pod finds in its file system and environment.
    package static func inCluster(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        directory: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) throws(ConfigurationError) -> ClientConfiguration {
        guard let host = environment["KUBERNETES_SERVICE_HOST"],
            let port = environment["KUBERNETES_SERVICE_PORT"]
        else {
            throw ConfigurationError(
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: not in a pod"
            )
        }
        let isAddressV6 = host.contains(":")
        var configuration = ClientConfiguration(
            server: "https://\(isAddressV6 ? "[\(host)]" : host):\(port)"
        )
        let tokenFile = directory + "/token"
        guard FileManager.default.isReadableFile(atPath: tokenFile) else {
            throw ConfigurationError(
                "\(tokenFile) cannot be read: the pod has no service-account token"
                    + " (automountServiceAccountToken)"
            )
        }
        configuration.credential = .tokenFile(tokenFile)
        configuration.tls.authorities = try readFile(directory + "/ca.crt")
        if let namespace = try? readFile(directory + "/namespace") {
            configuration.namespace = String(decoding: namespace, as: UTF8.self)
        }
        return configuration
    }

    /// Reads kubeconfig files; of entries with the same name the first one counts.
    package static func load(
        files: [String],
        context: String? = nil
    ) throws(ConfigurationError) -> ClientConfiguration {
        var merged = Kubeconfig()
        // As with kubectl, a file of the list may be missing, but not all.
        let existing = files.filter { FileManager.default.fileExists(atPath: $0) }
        guard !existing.isEmpty else {
            throw ConfigurationError("no kubeconfig at \(files.joined(separator: ", "))")
        }
        for path in existing {
            merged.merge(try Kubeconfig(contentsOf: path))
        }
        return try merged.configuration(context: context)
    }
}

/// Reads a file, or says why not in plain words.
func readFile(_ path: String) throws(ConfigurationError) -> Data {
    do {
        return try Data(contentsOf: URL(filePath: path))
    } catch {
        throw ConfigurationError("\(path) cannot be read: \(reason(path))")
    }
}

/// Foundation's errors name domains and codes; the system's own words are plain.
private func reason(_ path: String) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return errorText(errno) }
    defer { close(descriptor) }
    var byte: UInt8 = 0
    return unsafe read(descriptor, &byte, 1) < 0 ? errorText(errno) : "it changed meanwhile"
}
