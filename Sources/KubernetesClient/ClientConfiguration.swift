package import HTTPTransport

/// Where the API server is and how to be let in.
package struct ClientConfiguration: Sendable {
    /// How requests prove who sends them, beside a client certificate in `tls`.
    package enum Credential: Sendable, Equatable {
        case none
        case token(String)
        /// Read again for every request: mounted tokens rotate. `fallback` is for a file that cannot be read.
        case tokenFile(String, fallback: String? = nil)
        case password(user: String, String)
        case plugin(CredentialPlugin)
    }

    /// As whom requests are made; the sender needs the right to `impersonate`.
    package struct Impersonation: Sendable, Equatable {
        package var user: String
        package var groups: [String]
        package var uid: String?
        package var extra: [String: [String]] = [:]

        package init(user: String, groups: [String] = []) {
            self.user = user
            self.groups = groups
        }
    }

    /// Such as `https://10.96.0.1:443`, without a slash at the end.
    package var server: String
    /// The namespace meant when none is said.
    package var namespace: String
    package var tls = TLSMaterial()
    package var credential = Credential.none
    package var impersonation: Impersonation?
    package var proxy = HTTPRequest.Proxy.environment
    /// The name that the server's certificate carries, when it is not the host of `server`.
    package var tlsServerName: String?

    package init(server: String, namespace: String = "default") {
        self.server = server
        self.namespace = namespace
    }
}

/// Why there is no usable configuration; the message says what to do.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
