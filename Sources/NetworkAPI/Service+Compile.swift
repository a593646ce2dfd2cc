import KubernetesAPI
package import NetworkModel
import ProxyContract

extension Service {
    /// The network-wide name; nil when neither it nor the object's name can be one.
    package var address: ServiceAddress? { spec.address ?? ServiceAddress(metadata.name) }

    /// Whether this site's clients reach the service through listeners.
    package var listens: Bool {
        spec.listen?.enabled ?? (spec.selector == nil && spec.hosts == nil)
    }

    /// The core Service that clients use.
    package var listenServiceName: String { spec.listen?.serviceName ?? metadata.name }

    /// The service's part of the configuration without its listeners; nil, with a finding, when it cannot be used.
    func configuration(
        isPlain: Bool,
        _ book: SiteBook,
        _ findings: inout Findings
    ) -> ServiceConfiguration? {
        if !DNSName.isLabel(metadata.name) {
            findings.add(
                "metadata.name",
                "the name of a Service must be a DNS label: at most 63 of a-z, 0-9 and \"-\""
            )
        }
        let ports = portConfigurations(&findings)
        let provider = provider(isPlain: isPlain, &findings)
        let timeouts = timeouts(&findings)
        let policy = policy(book, &findings)
        let allowedSites = allowedSites(isProvider: provider != nil, book, &findings)
        if listens, !isPlain { checkListenName(&findings) }
        if spec.proxyProtocol == true, provider == nil {
            findings.add(
                "spec.proxyProtocol",
                "proxyProtocol is for servers of this site, and this Service has none (neither selector nor hosts); "
                    + "set it in the Services of the sites that have the servers"
            )
        }
        guard findings.list.isEmpty, let address else { return nil }
        return ServiceConfiguration(
            name: metadata.name,
            address: address,
            ports: ports.sorted { $0.name < $1.name },
            provider: provider,
            timeouts: timeouts,
            proxyProtocol: spec.proxyProtocol == true ? true : nil,
            balancing: policy,
            allowedSites: allowedSites,
            earlyData: spec.earlyData == true ? true : nil
        )
    }

    /// The sites whose clients may use the servers here, beside this one; nil: all.
    private func allowedSites(
        isProvider: Bool,
        _ book: SiteBook,
        _ findings: inout Findings
    ) -> [SiteID]? {
        guard let names = spec.allowedSites else {
            return isProvider && !book.exportsToAll ? [] : nil
        }
        if !isProvider {
            findings.add(
                "spec.allowedSites",
                "allowedSites is for servers of this site, and this Service has none (neither selector nor hosts); "
                    + "set it in the Services of the sites that have the servers"
            )
        }
        if names.count > Bounds.sites {
            findings.add("spec.allowedSites", "allowedSites takes at most \(Bounds.sites) sites")
        }
        return findings.resolve(names, "spec.allowedSites", book).sorted()
    }

    private func portConfigurations(_ findings: inout Findings) -> [ServicePortConfiguration] {
        if spec.ports.isEmpty || spec.ports.count > Bounds.ports {
            findings.add("spec.ports", "a Service needs 1 to \(Bounds.ports) ports")
        }
        var names: Set<PortName> = []
        var numbers: Set<UInt16> = []
        return spec.ports.enumerated().map { index, port in
            let field = "spec.ports[\(index)]"
            findings.checkPort(port.port, "\(field).port")
            if !names.insert(port.name).inserted {
                findings.add("\(field).name", "two ports are named \"\(port.name)\"; rename one")
            }
            if !numbers.insert(port.port).inserted {
                findings.add(
                    "\(field).port",
                    "two ports have the number \(port.port); give each its own"
                )
            }
            return ServicePortConfiguration(
                name: port.name,
                port: port.port,
                targetPort: targetPort(of: port, "\(field).targetPort", &findings)
            )
        }
    }

    private func targetPort(of port: ServiceSpec.Port, _ field: String, _ findings: inout Findings)
        -> UInt16
    {
        switch port.targetPort {
        case nil:
            return port.port
        case .int(let number):
            guard let target = UInt16(exactly: number), target > 0 else {
                findings.add(field, "\(field) must be from 1 to 65535, not \(number)")
                return port.port
            }
            return target
        case .string(let name):
            if spec.hosts != nil {
                findings.add(
                    field,
                    "with hosts every targetPort must be a number: hosts have no named ports"
                )
            } else if !DNSName.isLabel(name) || name.utf8.count > 15
                || !name.contains(where: \.isLetter)
            {
                findings.add(
                    field,
                    "\"\(name)\" must be a port number or the name of a container's port "
                        + "(at most 15 of a-z, 0-9 and \"-\", with a letter)"
                )
            }
            // The EndpointSlices carry the number.
            return port.port
        }
    }

    private func provider(isPlain: Bool, _ findings: inout Findings) -> ServiceConfiguration
        .Provider?
    {
        if let selector = spec.selector {
            if spec.hosts != nil {
                findings.add(
                    "spec.hosts",
                    "at most one of selector and hosts: the servers are either Pods here or hosts outside"
                )
            }
            if selector.isEmpty {
                findings.add(
                    "spec.selector",
                    "selector must not be empty; name a label of the Pods"
                )
            }
            if isPlain {
                findings.add(
                    "spec.selector",
                    "a plain site has no Pods; list the servers in spec.hosts"
                )
            }
            return .endpointSlices(service: ChildName.endpointsService(of: metadata.name))
        }
        guard let hosts = spec.hosts else { return nil }
        if hosts.isEmpty || hosts.count > Bounds.hosts {
            findings.add("spec.hosts", "hosts must list 1 to \(Bounds.hosts) addresses or names")
        }
        var seen: Set<String> = []
        for (index, host) in hosts.enumerated() {
            let field = "spec.hosts[\(index)]"
            findings.checkHost(host, field)
            if !isPlain, IPAddress(host)?.isLoopback ?? (HostText.key(host) == "localhost") {
                findings.add(
                    field,
                    "\"\(host)\" would be the gateway itself; give the server's own address"
                )
            }
            if let nature = IPAddress(host)?.specialUse {
                findings.add(field, "\"\(host)\" is \(nature); give the server's own address")
            }
            if !seen.insert(HostText.key(host)).inserted {
                findings.add(field, "\"\(host)\" is listed twice; remove one")
            }
        }
        return .hosts(hosts.map(HostText.normalized))
    }

    private func timeouts(_ findings: inout Findings) -> ServiceTimeouts {
        let standard = ServiceTimeouts.standard
        return ServiceTimeouts(
            connect: findings.check(
                spec.timeouts?.connect,
                in: Bounds.connect,
                else: standard.connect,
                "spec.timeouts.connect"
            ),
            idle: findings.check(
                spec.timeouts?.idle,
                in: Bounds.silence,
                zero: "never",
                else: standard.idle,
                "spec.timeouts.idle"
            ),
            halfClosed: findings.check(
                spec.timeouts?.halfClosed,
                in: Bounds.silence,
                zero: "never",
                else: standard.halfClosed,
                "spec.timeouts.halfClosed"
            )
        )
    }

    private func checkListenName(_ findings: inout Findings) {
        let name = listenServiceName
        let field = "spec.listen.serviceName"
        if [ChildName.proxy, ChildName.linkService].contains(name) {
            findings.add(
                field,
                "\(name) is a core Service of the Site itself; set listen.serviceName to another name"
            )
        } else if !DNSName.isLabel(name) || !(name.utf8.first ?? 0 >= UInt8(ascii: "a")) {
            findings.add(
                field,
                "a core Service cannot be named \"\(name)\": a DNS label that begins with a letter; "
                    + "set listen.serviceName"
            )
        }
    }
}
