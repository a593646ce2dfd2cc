import ArgumentParser
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Look for what is missing, wrong, or about to be.",
        discussion: """
            The installation (definitions, controller, clocks), then the Site of the namespace: conditions, certificates, links, services \
            and sidecars. Each line that is not ok comes with what to do. It changes nothing.
            Exits 0 when all is well, 3 when something is not, 1 when the API server cannot be asked.

            Examples:
              tieline check -n shop
              tieline check -n shop -o json | jq '.findings[] | select(.verdict != "ok")'
            """
    )

    @OptionGroup var cluster: ClusterOptions

    @Option(help: "Only this Site, of those of the namespace.")
    var site: String?

    @Option(help: "The namespace of the controller.")
    var controllerNamespace = "tieline-system"

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() async throws {
        let (client, namespace) = try cluster.client()
        var report = CheckReport()
        let now = Timestamp(Date())
        try await checkInstallation(client, &report, now)
        report.look(at: namespace, try await read(namespace, client), now: now)
        let document = CheckDocument(isFine: report.isFine, findings: report.findings)
        switch output {
        case .table: print(report.text, terminator: "")
        case .json: print(try Document.json(document), terminator: "")
        case .yaml: print(try Document.yaml(document), terminator: "")
        }
        if !report.isFine { throw ExitCode(3) }
    }

    private func checkInstallation(
        _ client: KubernetesClient,
        _ report: inout CheckReport,
        _ now: Timestamp
    ) async throws {
        for kind in ObjectKind.allCases {
            let name = "\(kind.plural).\(NetworkGroup.name)"
            let found = try await readable {
                try await client.find(Definition.self, ObjectKey(name: name))
            }
            switch found {
            case .some(let definition): report.look(at: kind, fields: definition?.specFields)
            case nil:
                report.add(
                    CheckFinding("crd/\(kind.plural)", .unknown, "may not be read by this user")
                )
            }
        }
        let key = ObjectKey(namespace: controllerNamespace, name: "tieline-controller")
        guard
            let controller = try await readable({
                try await client.find(Apps.Deployment.self, key)
            })
        else {
            report.add(CheckFinding("controller", .unknown, "may not be read by this user"))
            return
        }
        let lease = try await readable { try await client.find(Coordination.Lease.self, key) }
        report.look(at: controller, lease: lease.flatMap(\.self), now: now)
    }

    private func read(
        _ namespace: String,
        _ client: KubernetesClient
    ) async throws -> CheckedNamespace {
        let scope = Scope(namespace: namespace)
        var found = CheckedNamespace()
        found.sites = try await readable { try await client.listAll(Site.self, in: scope) }
        if let site { found.sites = found.sites?.filter { $0.metadata.name == site } }
        found.links = try await readable { try await client.listAll(Link.self, in: scope) }
        found.services = try await readable { try await client.listAll(Service.self, in: scope) }
        found.pods = try await readable { try await client.listAll(Core.Pod.self, in: scope) }
        let gateways = ObjectKey(namespace: namespace, name: ChildName.proxy)
        found.gateways = try await readable {
            try await client.find(Apps.Deployment.self, gateways)
        }.flatMap(\.self)
        return found
    }

    /// Nil: this user may not, or the kind is not served.
    private func readable<Value>(_ body: () async throws -> Value) async throws -> Value? {
        do {
            return try await body()
        } catch let error as APIError where error.isForbidden || error.isNotFound {
            return nil
        }
    }
}

private struct CheckDocument: Encodable {
    let isFine: Bool
    let findings: [CheckFinding]
}

/// A CustomResourceDefinition, as far as it is looked into.
private struct Definition: KubernetesObject {
    static let resource = Resource(
        group: "apiextensions.k8s.io",
        version: "v1",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        isNamespaced: false
    )

    var metadata: ObjectMeta
    var spec: JSONValue

    /// The fields of the spec in the version that this program speaks.
    var specFields: Set<String>? {
        guard case .array(let versions)? = spec["versions"],
            let version = versions.first(where: {
                $0["name"] == .string(NetworkGroup.version) && $0["served"] == .bool(true)
            }),
            case .object(let fields)? =
                version["schema"]?["openAPIV3Schema"]?["properties"]?["spec"]?["properties"]
        else { return nil }
        return Set(fields.keys)
    }
}
