import Certificates
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import Synchronization
import Telemetry

/// Where the API server asks whether a Pod gets a sidecar: an HTTPS endpoint that every controller serves, leading or not.
///
/// Its certificate is what stands in the Secret; before there is one, connections are closed, and Pods start as they are.
final class WebhookServer: Sendable {
    static let path = "/inject"

    private let client: KubernetesClient
    private let secret: ObjectKey
    private let admission: PodAdmission
    private let logger: Logger
    private let tls = Mutex<ServingTLS?>(nil)

    /// The watch by `client` is no work of the leader, and never waits.
    init(_ shared: Shared, _ client: KubernetesClient) {
        self.client = client
        secret = ObjectKey(namespace: shared.settings.namespace, name: Names.webhookSecret)
        admission = PodAdmission(world: shared.world, settings: shared.settings)
        logger = shared.logger
    }

    /// Serves until the task is canceled, nowhere when no place is given; throws when the address cannot be bound.
    func run(_ place: (host: String, port: UInt16)?) async throws {
        guard let place else {
            let (forever, _) = AsyncStream<Never>.makeStream()
            for await _ in forever {}
            return
        }
        let server = try ReviewServer(
            host: place.host,
            port: place.port,
            path: Self.path,
            bodyLimit: AdmissionReview.limit,
            channel: { [self] in tls.withLock { $0 }.flatMap(SecureChannel.init) },
            answer: { [admission] in AdmissionReview.answer($0, admission.verdict) }
        )
        await withDiscardingTaskGroup { group in
            group.addTask { await server.run() }
            group.addTask { [self] in await follow() }
        }
    }

    private func follow() async {
        let reflector = Reflector<Core.Secret>(
            client: client,
            scope: .object(secret),
            logger: logger
        )
        await reflector.run { [self] event in
            switch event {
            case .replaced(let found, _, _): take(found.first { $0.key == secret })
            case .put(let found): take(found)
            // One that is gone or broken does not take away what works.
            case .removed, .undecodable, .removedUndecodable, .progressed: break
            }
        }
    }

    private func take(_ found: Core.Secret?) {
        guard let found else { return }
        do {
            let served = try ServingTLS(ServingCertificate(found))
            tls.withLock { $0 = served }
        } catch {
            logger.warning("the certificate in Secret \(secret) cannot be used: \(error)")
        }
    }
}

extension SecureChannel {
    /// Nil when there is no memory left.
    init?(_ tls: ServingTLS) {
        guard let session = tls.session() else { return nil }
        self.init(
            open: { bytes in
                let opened = session.open(bytes)
                return Opened(
                    plaintext: opened.plaintext,
                    reply: opened.reply,
                    isOver: opened.isOver
                )
            },
            seal: { session.seal($0) }
        )
    }
}

extension ServingCertificate {
    /// What a Secret holds, whatever that is.
    init(_ secret: Core.Secret) {
        func text(_ key: String) -> String {
            String(decoding: secret.data[key] ?? Data(), as: UTF8.self)
        }
        self.init(
            certificatePEM: text("tls.crt"),
            keyPEM: text("tls.key"),
            authorityPEM: text("ca.crt"),
            authorityKeyPEM: text("ca.key")
        )
    }

    var data: [String: Data] {
        [
            "tls.crt": Data(certificatePEM.utf8), "tls.key": Data(keyPEM.utf8),
            "ca.crt": Data(authorityPEM.utf8), "ca.key": Data(authorityKeyPEM.utf8),
        ]
    }
}
