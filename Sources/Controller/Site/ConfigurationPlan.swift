import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import ProxyContract

/// The Secrets that hold the configuration of a site, as they were read or written last.
struct ConfigurationSecrets: Sendable {
    var head: Core.Secret?
    /// The parts by their index; those beyond the head's number are not wanted any more.
    var parts: [Int: Core.Secret] = [:]

    /// The part that the head names, if it is there and can be read.
    func part(_ index: Int, _ digest: String) -> ConfigurationPart? {
        parts[index]?.data[ConfigurationPart.fileName(digest)]
            .flatMap { try? ConfigurationPart($0) }
            .flatMap { $0.digest == digest ? $0 : nil }
    }

    /// The services that the gateways were told of, as far as they can be read.
    func services(_ head: ConfigurationHead) -> [ServiceConfiguration] {
        guard let digests = head.parts else { return head.configuration.services }
        return digests.enumerated().flatMap { part($0, $1)?.services ?? [] }
    }
}

/// What is to be written so that the gateways take a configuration; in this order: whatever comes between, the head that is
/// there finds its parts.
struct ConfigurationWrites: Sendable {
    var parts: [(key: Int, write: SecretWrite)] = []
    var head: SecretWrite?
    /// Parts that the head does not name any more.
    var unused: [Int] = []

    var isEmpty: Bool { parts.isEmpty && head == nil && unused.isEmpty }
}

/// Keeps the Secrets from which the gateways take their configuration.
enum ConfigurationPlan {
    /// What the Secret says now; nil when it is absent or cannot be read.
    static func read(_ secret: Core.Secret?) -> ConfigurationHead? {
        secret?.data[ConfigurationDocument.fileName]
            .flatMap { try? ConfigurationHead.decode($0) }
    }

    /// The Secrets to write, none when the gateways have been told this very configuration; and the head that is then there.
    ///
    /// A Secret to write carries the version of the one that was read, so that of two writers one fails. The generation grows by
    /// one. A head that was deleted begins again above `lastGeneration`: gateways never go back to a lower one.
    ///
    /// `configuration`: with its services where `layout` has no parts; `current`: what the head says now. `lastGeneration` is
    /// the highest that any gateway of the site is known to have, or that we ever wrote; `newKey` is for a head that has
    /// no key to read snapshots with.
    static func plan(
        configuration: SiteConfiguration,
        layout: ServiceLayout,
        current: ConfigurationHead?,
        existing: ConfigurationSecrets,
        site: Site,
        lastGeneration: @autoclosure () -> UInt64,
        newKey: @autoclosure () -> String
    ) throws -> (writes: ConfigurationWrites, head: ConfigurationHead) {
        let digests = layout.count == 0 ? nil : (0..<layout.count).map(layout.digest)
        var writes = ConfigurationWrites()
        for (index, digest) in (digests ?? []).enumerated() {
            let part = existing.parts[index]
            let name = ConfigurationPart.fileName(digest)
            if let part, part.data[name] != nil, part.metadata.controller?.uid == site.metadata.uid
            {
                continue
            }
            // What the present head names stays until the next one is there.
            var data = [name: layout.bytes(index)]
            if let named = current?.parts, named.indices.contains(index) {
                let old = ConfigurationPart.fileName(named[index])
                data[old] = part?.data[old] ?? data[old]
            }
            let secret = ChildName.configurationPart(index)
            writes.parts.append((index, write(secret, data, over: part, of: site)))
        }
        writes.unused = existing.parts.keys.filter { $0 >= layout.count }.sorted(by: >)
        if let current, current.configuration == configuration, current.parts == digests,
            existing.head?.metadata.controller?.uid == site.metadata.uid
        {
            return (writes, current)
        }
        let head = ConfigurationHead(
            generation: max(current?.generation ?? 0, lastGeneration()) + 1,
            snapshotKey: current?.snapshotKey ?? newKey(),
            configuration: configuration,
            parts: digests
        )
        writes.head = write(
            ChildName.configurationSecret,
            [ConfigurationDocument.fileName: try head.encoded()],
            over: existing.head,
            of: site
        )
        return (writes, head)
    }

    private static func write(
        _ name: String,
        _ data: [String: Data],
        over existing: Core.Secret?,
        of site: Site
    ) -> SecretWrite {
        let secret = Core.Secret {
            $0.metadata = ObjectMeta(child: name, of: site)
            $0.metadata.uid = existing?.metadata.uid
            $0.metadata.resourceVersion = existing?.metadata.resourceVersion
            $0.type = existing?.type ?? "Opaque"
            $0.data = data
        }
        return SecretWrite(mode: existing == nil ? .create : .apply, secret: secret)
    }
}
