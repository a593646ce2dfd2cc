import ArgumentParser
import Certificates
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel
import SiteFolder

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Let a site join by a token, without editing this one's `allow`.",
        subcommands: [IssueCommand.self, RedeemCommand.self]
    )
}

struct IssueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue",
        abstract: "Make a token with which another site may join this one.",
        discussion: """
            Writes what the site has to know of it into the Secret tieline-grants (not the token: its digest), and prints the token as \
            a Secret. Who has it can join until it expires, and the site that did stays let in until `tieline link revoke`.

            Examples:
              tieline token issue -n shop --uses 1 --expires 1h > token.yaml
              tieline token redeem token.yaml -n shop | kubectl --context west apply -f -
              tieline token issue --site-dir /etc/tieline > token.yaml
            """
    )

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var plain: PlainSiteOptions

    @Option(help: "The Site that lets others in (default: the one of the namespace).")
    var site: String?

    @Option(help: "How many sites may come by it.")
    var uses = 1

    @Option(help: "For how long, such as 30m or 24h; at most 720h.")
    var expires = "1h"

    @Option(help: "The name of the printed Secret (default: SITE-token).")
    var name: String?

    func validate() throws {
        if plain.siteDir != nil, cluster.isGiven || site != nil {
            throw ValidationError("--site-dir goes with --state, --uses, --expires and --name only")
        }
        guard (1...1000).contains(uses) else {
            throw ValidationError("--uses is 1...1000, not \(uses)")
        }
        guard let life = APIDuration(expires)?.duration, life > .zero, life <= .seconds(720 * 3600)
        else {
            throw ValidationError(
                "--expires is a duration such as 30m or 24h, of at most 720h, not \(expires)"
            )
        }
    }

    func run() async throws {
        // First what the site keeps: a token that nobody has yet expires by itself.
        if let plain = try plain.status() {
            let site = try plain.site()
            let token = try token(of: site)
            try plain.grants.change { try $0.issue(token, uses: uses, at: Timestamp(Date())) }
            return try show(token, of: site)
        }
        let (client, namespace) = try cluster.client()
        let site = try await client.site(named: site, in: namespace)
        let token = try token(of: site)
        try await client.store(token, uses: uses, in: site.metadata.namespace)
        try show(token, of: site)
    }

    private func token(of site: Site) throws -> JoinToken {
        let link = try LinkGenerator.link(to: site, name: nil, cost: nil)
        let life = APIDuration(expires)?.duration ?? .zero
        return JoinToken(
            grant: String(JoinSecret.make().lowercased().prefix(10)),
            secret: JoinSecret.make(),
            siteID: link.spec.remoteSiteID,
            endpoints: link.spec.endpoints,
            expires: Timestamp(seconds: (Timestamp(Date()) + life).seconds)
        )
    }

    private func show(_ token: JoinToken, of site: Site) throws {
        let printed = try token.secret(named: name ?? "\(site.metadata.name)-token")
        print(try Document.yamlLikeJSON(Envelope(printed)), terminator: "")
    }
}

extension GrantLedger {
    /// Adds what the site keeps of a token.
    fileprivate mutating func issue(_ token: JoinToken, uses: Int, at now: Timestamp) throws {
        let key = JoinSecret.key(of: token.secret)
        let grant = JoinGrant(key: key, expires: token.expires, uses: uses)
        try issue(token.grant, grant, at: now)
    }
}

extension KubernetesClient {
    fileprivate func store(_ token: JoinToken, uses: Int, in namespace: String?) async throws {
        let key = ObjectKey(namespace: namespace, name: ChildName.grantsSecret)
        let found = try await find(Core.Secret.self, key)
        var ledger = GrantLedger(found)
        try ledger.issue(token, uses: uses, at: Timestamp(Date()))
        guard found != nil else {
            let secret = Core.Secret {
                $0.metadata = ObjectMeta(name: key.name, namespace: namespace)
                $0.type = "Opaque"
                $0.data = ledger.changes.compactMapValues(\.self)
            }
            _ = try await create(secret)
            return
        }
        _ = try await patch(Core.Secret.self, key, ledger.patch)
    }
}

extension GrantLedger {
    /// What makes the changes, and leaves all other entries alone.
    var patch: Patch {
        let data = changes.mapValues { value -> JSONValue in
            value.map { .string($0.base64EncodedString()) } ?? .null
        }
        return .merge(["data": .object(data)])
    }
}

struct RedeemCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redeem",
        abstract: "Print what a site joins by: a Link, its token, and the right to read that.",
        discussion: """
            Asks no cluster: the output is for `kubectl apply`, or for Git with its secrets sealed. Once the Link was Connected, the Secret \
            may go or stay; it lets nobody in any more. For a plain site (--site-dir) the token goes into the site's state, and the Link \
            is printed, for a file of its manifest folder.

            Examples:
              tieline token redeem token.yaml -n shop | kubectl apply -f -
              kubectl wait -n shop tlink/east --for=condition=Connected
              tieline token redeem token.yaml --site-dir /etc/tieline > /etc/tieline/link-east.yaml
            """
    )

    @Argument(help: "The file with the token; -: standard input.")
    var file: String

    @Option(name: [.short, .long], help: "The namespace of the Site that joins.")
    var namespace = "default"

    @Option(help: "The name of the Link (default: the token's without \"-token\").")
    var name: String?

    @Option(help: "The Link's cost, 1...1000000, in connections per endpoint (default: 1).")
    var cost: Int32?

    @Option(help: "The namespace of the controller.")
    var controllerNamespace = "tieline-system"

    @OptionGroup var plain: PlainSiteOptions

    func validate() throws {
        if let cost, LinkCost(cost) == nil {
            throw ValidationError("--cost is 1...1000000, not \(cost)")
        }
        if let name, LinkName(name) == nil {
            throw ValidationError("--name is a DNS name in lower case, not \"\(name)\"")
        }
    }

    func run() throws {
        let redemption = try Redemption(
            InjectCommand.read(file),
            link: name,
            namespace: namespace,
            controllerNamespace: controllerNamespace,
            at: Timestamp(Date())
        )
        let cost = cost.flatMap { LinkCost($0) }
        guard let plain = try plain.status() else {
            return print(try redemption.text(cost: cost), terminator: "")
        }
        // First the token, so that the first lane is dialed with it.
        try plain.tokens.store(try redemption.secret)
        print(try redemption.linkText(cost: cost), terminator: "")
    }
}

extension Timestamp {
    /// By the clock of this host.
    init(_ date: Date) { self.init(seconds: Int64(date.timeIntervalSince1970)) }
}
