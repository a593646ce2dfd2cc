import KubernetesAPI
package import NetworkModel
import SiteConfiguration

/// Turns a site's objects into the configuration of its proxies.
///
/// Pure: equal arguments, equal result. An object that cannot be used is left out, with a finding that says why and what
/// to change; everything else works on. Of two objects that claim the same thing the older one (then the one with the
/// smaller UID) has it. `site` is the one that `chooseSite` chose; Links and Services are those of its namespace, in any
/// order; the ones that are being deleted are left out. What is `kept` is there beside them and has what it has. What is out of bounds in the Site is replaced by its default.
package func compile(
    site: Site,
    siteID: SiteID,
    links: [Link],
    services: [Service],
    listeners: Listeners,
    keeping kept: KeptParts = KeptParts()
) -> Compilation {
    var siteFindings = Findings(.site, site.metadata.name)
    var configuration = site.configuration(siteID: siteID, &siteFindings)
    var findings = siteFindings.list

    configuration.links = kept.links
    for link in links.filter({ !$0.metadata.isTerminating }).sorted(by: isOlderObject) {
        var own = Findings(.link, link.metadata.name)
        if let part = link.configuration(siteID: siteID, siteHealth: configuration.health, &own) {
            own.checkParallel(to: part, among: configuration.links)
            if own.list.isEmpty { configuration.links.append(part) }
        }
        findings += own.list
    }
    configuration.links.sort { $0.name < $1.name }

    var compiler = ServiceCompiler(listeners: listeners)
    for part in kept.services { compiler.keep(part) }
    for service in services.filter({ !$0.metadata.isTerminating }).sorted(by: isOlderObject) {
        compiler.add(service)
    }
    let ports = compiler.finish()
    configuration.services = compiler.services.sorted { $0.name < $1.name }
    return Compilation(
        configuration: configuration,
        findings: findings + compiler.findings,
        ports: ports
    )
}

extension Findings {
    /// Links to the same site beside each other are for paths of their own; what is merely another address is an endpoint.
    fileprivate mutating func checkParallel(
        to link: LinkConfiguration,
        among older: [LinkConfiguration]
    ) {
        let parallel = older.filter { $0.remoteSite == link.remoteSite }.map(\.name.text).sorted()
        guard parallel.count >= Bounds.parallelLinks else { return }
        add(
            "spec.remoteSiteID",
            reason: .conflict,
            "\(parallel.count) Links lead to the site \(link.remoteSite) already, which is the most: "
                + "\(parallel.joined(separator: ", ")); put the endpoints of this one into one of them "
                + "(spec.endpoints takes \(Bounds.endpoints)), or delete one"
        )
    }
}

private func isOlderObject(_ left: some KubernetesObject, _ right: some KubernetesObject) -> Bool {
    isOlder(left.metadata, right.metadata)
}

/// Takes Services from the oldest to the youngest and settles who has what.
private struct ServiceCompiler {
    let listeners: Listeners
    private(set) var services: [ServiceConfiguration] = []
    private(set) var findings: [Finding] = []
    /// Who has an address, a core Service, a port of a plain site.
    private var addresses: [ServiceAddress: String] = [:]
    private var serviceNames: [String: String] = [:]
    private var directPorts: [UInt16: String] = [:]
    private var listening: Set<String> = []

    init(listeners: Listeners) { self.listeners = listeners }

    private var isPlain: Bool {
        if case .direct = listeners { true } else { false }
    }

    mutating func keep(_ part: ServiceConfiguration) {
        addresses[part.address] = part.name
        if part.ports.contains(where: { $0.listen != nil }) { listening.insert(part.name) }
        services.append(part)
    }

    mutating func add(_ service: Service) {
        let name = service.metadata.name
        var own = Findings(.service, name)
        if var part = service.configuration(isPlain: isPlain, &own) {
            claim(for: service, part, &own)
            if own.list.isEmpty {
                addresses[part.address] = name
                if service.listens {
                    serviceNames[service.listenServiceName] = name
                    listening.insert(name)
                    listenDirectly(&part)
                }
                services.append(part)
            }
        }
        findings += own.list
    }

    private func claim(
        for service: Service,
        _ part: ServiceConfiguration,
        _ findings: inout Findings
    ) {
        if let owner = addresses[part.address] {
            findings.add(
                service.spec.address == nil ? "metadata.name" : "spec.address",
                reason: .conflict,
                "the address \"\(part.address)\" belongs to the older Service \"\(owner)\"; "
                    + "use that one, or give this one another address"
            )
        }
        guard service.listens else { return }
        if isPlain {
            for (index, port) in service.spec.ports.enumerated() {
                guard let owner = directPorts[port.port] else { continue }
                findings.add(
                    "spec.ports[\(index)].port",
                    reason: .conflict,
                    "port \(port.port) belongs to Service \"\(owner)\"; a plain site listens for each "
                        + "service on its own port: choose another one"
                )
            }
        } else if let owner = serviceNames[service.listenServiceName] {
            findings.add(
                service.spec.listen?.serviceName == nil
                    ? "metadata.name" : "spec.listen.serviceName",
                reason: .conflict,
                "the core Service \"\(service.listenServiceName)\" belongs to the older Service "
                    + "\"\(owner)\"; set listen.serviceName to another name"
            )
        }
    }

    private mutating func listenDirectly(_ part: inout ServiceConfiguration) {
        guard case .direct(let bind) = listeners else { return }
        for index in part.ports.indices {
            let port = part.ports[index].port
            directPorts[port] = part.name
            part.ports[index].listen = .init(host: bind, port: port)
        }
    }

    /// Gives the listening ports of a cluster's gateways their numbers.
    mutating func finish() -> ListenerPorts {
        guard case .allocated(var ports, let now) = listeners else { return ListenerPorts() }
        let keys = services.filter { listening.contains($0.name) }.flatMap { service in
            service.ports.map { ListenerPorts.Key(service: service.name, port: $0.port) }
        }
        for key in ports.assign(keys, at: now) {
            findings.append(
                Finding(
                    object: FoundObject(kind: .service, name: key.service),
                    field: "spec.ports",
                    condition: .programmed,
                    reason: .portsExhausted,
                    message:
                        "no listener port is left for port \(key.port): the gateways have "
                        + "\(ListenerPorts.range.count); remove Services, or set listen.enabled: false"
                )
            )
        }
        for service in services.indices {
            for port in services[service].ports.indices {
                let key = ListenerPorts.Key(
                    service: services[service].name,
                    port: services[service].ports[port].port
                )
                guard listening.contains(key.service) else { continue }
                services[service].ports[port].listen = ports.assigned[key].map { .init(port: $0) }
            }
        }
        return ports
    }
}
