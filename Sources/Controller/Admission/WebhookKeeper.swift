import Certificates
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import Logging

/// Keeps the webhook's certificate, and the API server told of the authority that signed it: the work of the leader.
struct WebhookKeeper: Sendable {
    let client: KubernetesClient
    /// The controllers'.
    let namespace: String
    let logger: Logger
    /// Between two looks.
    var interval: Duration = .seconds(10)

    /// Until the task is canceled.
    func run() async {
        var told = ""
        while !Task.isCancelled {
            var problem = ""
            do throws(APIError) {
                if let certificate = try await certificate() {
                    problem = try await announce(certificate)
                } else {
                    problem = "no certificate can be made for the webhook"
                }
            } catch {
                problem = "the webhook cannot be kept: \(error)"
            }
            if problem != told, !problem.isEmpty { logger.warning("\(problem)") }
            told = problem
            guard (try? await Task.sleep(for: interval)) != nil else { return }
        }
    }

    /// The names by which the API server calls it.
    static func names(_ namespace: String) -> [String] {
        ["\(Names.webhook).\(namespace).svc", "\(Names.webhook).\(namespace).svc.cluster.local"]
    }

    /// What stands in the Secret, renewed when it is time.
    private func certificate() async throws(APIError) -> ServingCertificate? {
        let key = ObjectKey(namespace: namespace, name: Names.webhookSecret)
        let stored = try await client.find(Core.Secret.self, key)
        let names = Self.names(namespace)
        let current = stored.map(ServingCertificate.init)
        let wanted =
            current.map { try? $0.renewed(names: names, now: Date()) }
            ?? (try? ServingCertificate.make(names: names, now: Date()))
        guard let wanted, wanted != current else { return wanted }
        _ = try await client.apply(
            Core.Secret {
                $0.metadata.namespace = namespace
                $0.metadata.name = Names.webhookSecret
                $0.metadata.labels = Names.childLabels
                $0.type = "Opaque"
                $0.data = wanted.data
            },
            fieldManager: Names.fieldManager,
            force: true
        )
        logger.notice("the webhook has another certificate")
        return wanted
    }

    /// Writes the authority where the API server looks for it; answers what is amiss.
    private func announce(_ certificate: ServingCertificate) async throws(APIError) -> String {
        let key = ObjectKey(name: Names.webhook)
        guard let found = try await client.find(Admission.MutatingWebhookConfiguration.self, key)
        else {
            return
                "there is no MutatingWebhookConfiguration \(Names.webhook): nobody asks the webhook"
        }
        let bundle = Data(certificate.authorityPEM.utf8).base64EncodedString()
        let operations = found.webhooks.enumerated().flatMap { index, webhook -> [JSONValue] in
            guard webhook["clientConfig"]?["caBundle"]?.string != bundle else { return [] }
            return [
                // Another order is another object.
                [
                    "op": "test", "path": .string("/webhooks/\(index)/name"),
                    "value": webhook["name"] ?? nil,
                ],
                [
                    "op": "add", "path": .string("/webhooks/\(index)/clientConfig/caBundle"),
                    "value": .string(bundle),
                ],
            ]
        }
        guard !operations.isEmpty else { return "" }
        _ = try await client.patch(
            Admission.MutatingWebhookConfiguration.self,
            key,
            .json(.array(operations)),
            fieldManager: Names.fieldManager
        )
        logger.notice("the API server is told of the webhook's authority")
        return ""
    }
}
