import FoundationEssentials

/// What `tieline-controller run` is told.
package struct ControllerOptions: Sendable {
    /// The image of the gateways.
    package var proxyImage: String
    /// Nil: the cluster's default.
    package var proxyPullPolicy: String?
    /// Nil: as `ClientConfiguration.load` finds it.
    package var kubeconfig: String?
    package var context: String?
    /// Where the Lease and the controller's ServiceAccount are.
    package var namespace: String
    package var serviceAccount = Names.controller
    /// Unique among the replicas, also over restarts: a restarted container of the same pod is another candidate.
    package var identity: String
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    package var adminHost = "::"
    package var adminPort: UInt16 = 8080
    /// Where the API server asks whether a Pod gets a sidecar; nil: nowhere.
    package var webhook: (host: String, port: UInt16)?

    /// Takes namespace and identity from the environment that a pod has (`POD_NAMESPACE`, `POD_NAME`).
    package init(
        proxyImage: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.proxyImage = proxyImage
        namespace = Self.ownNamespace(environment)
        let pod = environment["POD_NAME"] ?? "controller"
        identity = "\(pod)-\(UInt32.random(in: .min ... .max))"
    }

    /// The namespace of the pod, or the usual one.
    package static func ownNamespace(
        _ environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> String {
        environment["POD_NAMESPACE"] ?? "tieline-system"
    }

    /// Sets `adminHost` and `adminPort` from `HOST:PORT`; false when the text is none.
    package mutating func setAdmin(_ text: String) -> Bool {
        guard let place = Self.place(text) else { return false }
        (adminHost, adminPort) = place
        return true
    }

    /// Sets `webhook` from `HOST:PORT`; false when the text is none.
    package mutating func setWebhook(_ text: String) -> Bool {
        webhook = Self.place(text)
        return webhook != nil
    }

    private static func place(_ text: String) -> (host: String, port: UInt16)? {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        let host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        return (String(isBracketed ? host.dropFirst().dropLast() : host), port)
    }
}
