import Certificates
import FoundationEssentials
import Logging
import Proxy
import SiteFolder
import Synchronization

/// Decides which credentials are used: those whose leaf was issued last.
final class CredentialsKeeper: Sendable {
    private struct State {
        var current: ProxyCredentials
        var issued: Date
        /// What was refused last, so that it is told once.
        var refused: ProxyCredentials?
    }

    private let dataPlane: any DataPlane
    private let logger: Logger
    private let state: Mutex<State>

    init(current: ProxyCredentials, dataPlane: any DataPlane, logger: Logger) {
        self.dataPlane = dataPlane
        self.logger = logger
        let issued = LeafCertificate.notBefore(chainPEM: current.certificateChain)
        state = Mutex(State(current: current, issued: issued ?? .distantPast))
    }

    /// When the certificates in use end; nil when that cannot be read.
    var ends: CertificateEnds? {
        CertificateEnds(chainPEM: state.withLock { $0.current.certificateChain })
    }

    /// Takes in what a source holds.
    func offer(_ credentials: ProxyCredentials) {
        let issued = LeafCertificate.notBefore(chainPEM: credentials.certificateChain)
        let outcome: String? = state.withLock { state in
            guard credentials != state.current, credentials != state.refused,
                (issued ?? .distantPast) >= state.issued || issued == nil
            else { return nil }
            do {
                try dataPlane.setCredentials(credentials)
            } catch {
                state.refused = credentials
                return "new credentials are refused, the old ones stay: \(error)"
            }
            state.current = credentials
            state.issued = issued ?? .distantPast
            return ""
        }
        switch outcome {
        case nil: break
        case "": logger.info("new credentials", metadata: ["issued": "\(issued ?? .distantPast)"])
        case let problem?: logger.error("\(problem)")
        }
    }
}

extension ProxyCredentials {
    /// Reads `tls.crt` and `tls.key` of a directory, both of the same moment; nil while one is missing.
    static func read(from directory: String) throws -> ProxyCredentials? {
        // A mounted Secret is replaced by turning the link `..data` to another directory: follow it once.
        let link = "\(directory)/..data"
        let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link)
        let place = target.map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" } ?? directory
        guard let chain = try Files.read("\(place)/tls.crt"),
            let key = try Files.read("\(place)/tls.key")
        else { return nil }
        return ProxyCredentials(
            certificateChain: String(decoding: chain, as: UTF8.self),
            privateKey: String(decoding: key, as: UTF8.self)
        )
    }
}
