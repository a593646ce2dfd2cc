import KubernetesAPI
import NetworkAPI
import NetworkModel

/// What `tieline status` shows: the three kinds of some namespaces.
struct StatusReport {
    var sites: [Site]
    var links: [Link]
    var services: [Service]
    /// Objects that this version does not understand, as the server has them.
    private(set) var undecodable: [(kind: ObjectKind, object: Undecodable)] = []

    init(sites: [Site], links: [Link], services: [Service]) {
        self.sites = sites
        self.links = links
        self.services = services
    }

    mutating func addUndecodable(_ objects: [Undecodable], _ kind: ObjectKind) {
        undecodable += objects.sorted { $0.key < $1.key }.map { (kind, $0) }
    }

    /// True when every object that the report shows is Ready, every Link Connected, and every Service has targets.
    var isReady: Bool {
        undecodable.isEmpty && sites.allSatisfy { Self.holds([.ready], $0) }
            && links.allSatisfy { Self.holds([.ready, .connected], $0) }
            && services.allSatisfy { Self.holds([.ready, .hasTargets], $0) }
    }

    private static func holds(_ types: [ConditionType], _ object: some NetworkObject) -> Bool {
        types.allSatisfy { object.status.conditions.isTrue($0.rawValue) }
            && object.status.observedGeneration == object.metadata.generation
    }

    var tables: String {
        guard !sites.isEmpty || !links.isEmpty || !services.isEmpty || !undecodable.isEmpty else {
            return
                "No Sites, Links or Services here. `kubectl apply` a Site to begin: kubectl explain tsite.spec\n"
        }
        return [siteTable, linkTable, serviceTable, noteTable, undecodableTable]
            .filter { !$0.isEmpty }.map(\.text).joined(separator: "\n")
    }

    /// What conditions say beyond their reasons.
    private var noteTable: Table {
        var table = Table(["OBJECT", "CONDITION", "MESSAGE"])
        for site in sites { Self.addNotes(of: site, to: &table) }
        for link in links { Self.addNotes(of: link, to: &table) }
        for service in services { Self.addNotes(of: service, to: &table) }
        return table
    }

    private static func addNotes<Object: NetworkObject>(of object: Object, to table: inout Table) {
        let kind = Object.resource.kind
        var told: Set<String> = []
        for type in [
            ConditionType.accepted, .programmed, .reachable, .connected, .hasTargets, .informed,
        ] {
            guard let condition = object.status.conditions[type: type.rawValue],
                condition.reason != Reason.dialsOnly.rawValue,
                !condition.message.isEmpty, told.insert(condition.message).inserted
            else { continue }
            table.add([
                "\(kind) \(object.metadata.key)", "\(type.rawValue)=\(condition.status.rawValue)",
                condition.message,
            ])
        }
    }

    private var undecodableTable: Table {
        var table = Table(["NOT UNDERSTOOD", "PROBLEM"])
        for (kind, object) in undecodable {
            table.add(["\(kind.rawValue) \(object.key)", object.problem])
        }
        return table
    }

    private var siteTable: Table {
        var table = Table([
            "SITE", "READY", "STATUS", "PROXIES", "SIDECARS", "LINKS", "SERVICES", "CONNS", "ID",
        ])
        for site in sites {
            let status = site.status
            table.add([
                site.metadata.key.description, Self.ready(site), Self.reason(site, .ready),
                status.proxies.map { "\($0.ready)/\($0.desired)" },
                status.proxies.map { "\($0.sidecars)" },
                status.links.map { "\($0.ready)/\($0.total)" },
                status.services.map { "\($0.ready)/\($0.total)" },
                status.connections.map { "\($0.active)" }, status.siteID?.text,
            ])
        }
        return table
    }

    private var linkTable: Table {
        var table = Table([
            "LINK", "READY", "CONNECTED", "REMOTE", "COST", "CONNS", "RTT", "STATUS",
        ])
        for link in links {
            let status = link.status
            table.add([
                link.metadata.key.description, Self.ready(link), Self.state(link, .connected),
                status.remoteSite.map { $0.name ?? $0.id.text },
                Self.cost(link), status.connections.map { "\($0.active)" },
                status.roundTripTime?.text, Self.reason(link, .ready, .connected),
            ])
        }
        return table
    }

    /// The configured cost, and the one in use while they differ.
    private static func cost(_ link: Link) -> String {
        let wanted = link.cost
        if link.isCostMeasured { return "\(link.status.appliedCost ?? wanted)" }
        guard let applied = link.status.appliedCost, applied != wanted else { return "\(wanted)" }
        return "\(applied) -> \(wanted)"
    }

    private var serviceTable: Table {
        var table = Table([
            "SERVICE", "READY", "TARGET", "COST", "ENDPOINTS", "CONNS", "STATE", "VIA",
        ])
        for service in services {
            let head = [service.metadata.key.description, Self.readyOrReason(service)]
            if service.status.targets.isEmpty {
                table.add(head + [nil, nil, nil, nil, nil, nil])
            }
            for (index, target) in service.status.targets.enumerated() {
                let site = target.port.map { "\(target.site)/\($0)" } ?? target.site
                let state = target.reason.map { "\(target.state) (\($0))" } ?? target.state
                table.add(
                    (index == 0 ? head : ["\"", "\""]) + [
                        site, target.pathCost.map { "\($0)" }, "\(target.endpoints)",
                        "\(target.connections)", state, target.via,
                    ]
                )
            }
        }
        return table
    }

    private static func ready(_ object: some NetworkObject) -> String { state(object, .ready) }

    private static func state(_ object: some NetworkObject, _ type: ConditionType) -> String {
        object.status.conditions[type: type.rawValue]?.status.rawValue ?? "Unknown"
    }

    /// The reason of the first of `types` that is not as wished, else Ready's.
    private static func reason(_ object: some NetworkObject, _ types: ConditionType...) -> String {
        let conditions = object.status.conditions
        let failing = types.first { !conditions.isTrue($0.rawValue) } ?? .ready
        return conditions[type: failing.rawValue]?.reason ?? Reason.pending.rawValue
    }

    private static func readyOrReason(_ object: some NetworkObject) -> String {
        let word = reason(object, .ready, .hasTargets)
        return word == Reason.ready.rawValue ? ready(object) : "\(ready(object)) (\(word))"
    }
}
