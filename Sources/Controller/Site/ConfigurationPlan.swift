import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import SiteConfiguration

/// Keeps the Secret from which the gateways take their configuration.
enum ConfigurationPlan {
    /// What the Secret says now; nil when it is absent or cannot be read.
    static func read(_ secret: Core.Secret?) -> ConfigurationDocument? {
        secret?.data[ConfigurationDocument.fileName]
            .flatMap { try? ConfigurationDocument.decode($0) }
    }

    /// The Secret to write, or nil when the gateways have been told this very configuration.
    ///
    /// It carries the version of the Secret that was read, so that of two writers one fails. The generation grows by one.
    /// A Secret that was deleted begins again above `lastGeneration`: gateways never go back to a lower one.
    ///
    /// `lastGeneration` is the highest that any gateway of the site is known to have, or that we ever wrote; `newKey` is for
    /// a Secret that has no key to read snapshots with.
    static func plan(
        configuration: SiteConfiguration,
        existing: Core.Secret?,
        site: Site,
        lastGeneration: UInt64,
        newKey: String
    ) throws -> (write: SecretWrite?, document: ConfigurationDocument) {
        let current = read(existing)
        if let current, current.configuration == configuration,
            existing?.metadata.controller?.uid == site.metadata.uid
        {
            return (nil, current)
        }
        let document = ConfigurationDocument(
            generation: max(current?.generation ?? 0, lastGeneration) + 1,
            snapshotKey: current?.snapshotKey ?? newKey,
            configuration: configuration
        )
        let bytes = try document.encoded()
        let secret = Core.Secret {
            $0.metadata = ObjectMeta(child: ChildName.configurationSecret, of: site)
            $0.metadata.uid = existing?.metadata.uid
            $0.metadata.resourceVersion = existing?.metadata.resourceVersion
            $0.type = existing?.type ?? "Opaque"
            $0.data = [ConfigurationDocument.fileName: bytes]
        }
        return (SecretWrite(mode: existing == nil ? .create : .apply, secret: secret), document)
    }
}
