package import KubernetesAPI

/// The nftables rules that carry connections from Services to endpoints, as kube-proxy would write them.
package struct ServiceRules: Sendable {
    /// Where one port of a Service leads.
    struct Target: Equatable {
        var transport: String
        var port: Int32
        var nodePort: Int32?
        var addresses: [String]
        var backends: [String]
    }

    /// What no rule carries on is refused in its Service ranges; node ports are open on its node address.
    private let family: ClusterFamily
    /// Services that the node answers itself.
    package var skipped: Set<ObjectKey> = [ObjectKey(namespace: "default", name: "kubernetes")]

    package init(family: ClusterFamily = .ipv4) { self.family = family }

    /// The whole table as one transaction for `nft -f`; equal states give equal texts.
    package func render(
        services: [Core.Service],
        slices: [Discovery.EndpointSlice]
    ) -> String {
        var bySevice: [ObjectKey: [Discovery.EndpointSlice]] = [:]
        for slice in slices where slice.addressType == family.name {
            guard let key = slice.serviceKey else { continue }
            bySevice[key, default: []].append(slice)
        }
        let targets = services.sorted { $0.key < $1.key }
            .filter { !skipped.contains($0.key) }
            .flatMap { self.targets(of: $0, slices: bySevice[$0.key] ?? []) }
        return text(targets)
    }

    /// The ports of one Service that have an address to be reached at.
    private func targets(
        of service: Core.Service,
        slices: [Discovery.EndpointSlice]
    ) -> [Target] {
        guard service.spec.type != "ExternalName",
            let cluster = service.spec.addresses.first(where: family.has)
        else { return [] }
        let ingress = service.status.loadBalancer.ingress.compactMap(\.ip).filter(family.has)
        return service.spec.ports.map { port in
            Target(
                transport: (port.protocol ?? "TCP").lowercased(),
                port: port.port,
                nodePort: port.nodePort == 0 ? nil : port.nodePort,
                addresses: [cluster] + ingress + service.spec.externalIPs.filter(family.has),
                backends: Self.backends(of: port, slices: slices)
            )
        }
    }

    /// Ready endpoints; when there is none, those that still serve while they terminate.
    static func backends(
        of port: Core.ServicePort,
        slices: [Discovery.EndpointSlice]
    ) -> [String] {
        var ready: Set<String> = []
        var leaving: Set<String> = []
        for slice in slices {
            let match = slice.ports.first {
                ($0.name ?? "") == (port.name ?? "")
                    && ($0.protocol ?? "TCP") == (port.protocol ?? "TCP")
            }
            guard let number = match?.port else { continue }
            for endpoint in slice.endpoints {
                guard let address = endpoint.addresses.first else { continue }
                if endpoint.conditions.isReady {
                    ready.insert("\(address) . \(number)")
                } else if endpoint.conditions.isServing, endpoint.conditions.isTerminating {
                    leaving.insert("\(address) . \(number)")
                }
            }
        }
        return (ready.isEmpty ? leaving : ready).sorted()
    }

    private func text(_ targets: [Target]) -> String {
        let ip = family.keyword
        var chains = ""
        var byAddress: [String] = []
        var byNodePort: [String] = []
        var refusedNodePorts: [String] = []
        var hairpins: Set<String> = []
        for (index, target) in targets.enumerated() {
            guard !target.backends.isEmpty else {
                if let port = target.nodePort {
                    refusedNodePorts.append("\(target.transport) . \(port)")
                }
                continue
            }
            let name = "service-\(index)"
            let choices = target.backends.enumerated().map { "\($0.offset) : \($0.element)" }
            chains += """
                  chain \(name) {
                    meta l4proto \(target.transport) dnat \(ip) to numgen random mod \
                \(target.backends.count) map { \(choices.joined(separator: ", ")) }
                  }

                """
            for address in target.addresses {
                byAddress.append(
                    "\(address) . \(target.transport) . \(target.port) : goto \(name)"
                )
            }
            if let port = target.nodePort {
                byNodePort.append("\(target.transport) . \(port) : goto \(name)")
            }
            for backend in target.backends {
                let address = backend.prefix { $0 != " " }
                hairpins.insert("\(address) . \(address)")
            }
        }
        let type = "\(family.name.lowercased())_addr"
        return table(
            chains: chains,
            sets: [
                ("map services", "\(type) . inet_proto . inet_service : verdict", byAddress),
                ("map node-ports", "inet_proto . inet_service : verdict", byNodePort),
                ("set refused-node-ports", "inet_proto . inet_service", refusedNodePorts),
                ("set hairpins", "\(type) . \(type)", hairpins.sorted()),
            ]
        )
    }

    private func table(chains: String, sets: [(name: String, type: String, [String])]) -> String {
        let sets = sets.map { name, type, elements in
            let list =
                elements.isEmpty ? "" : " elements = { \(elements.joined(separator: ", ")) }"
            return "  \(name) { type \(type);\(list) }\n"
        }
        let ranges = family.serviceRanges.joined(separator: ", ")
        let (ip, nodeAddress) = (family.keyword, family.nodeAddress)
        // Priorities are numbers: an output chain refuses the names.
        return """
            table \(ip) devnode
            delete table \(ip) devnode
            table \(ip) devnode {
            \(sets.joined())\(chains)  chain services-dispatch {
                \(ip) daddr . meta l4proto . th dport vmap @services
                \(ip) daddr \(nodeAddress) meta l4proto . th dport vmap @node-ports
              }
              chain refuse {
                \(ip) daddr { \(ranges) } meta l4proto tcp reject with tcp reset
                \(ip) daddr { \(ranges) } reject
              }
              chain refuse-node-ports {
                \(ip) daddr \(nodeAddress) meta l4proto . th dport @refused-node-ports meta l4proto tcp \
            reject with tcp reset
              }
              chain prerouting {
                type nat hook prerouting priority -100; policy accept;
                jump services-dispatch
              }
              chain output {
                type nat hook output priority -100; policy accept;
                jump services-dispatch
              }
              chain postrouting {
                type nat hook postrouting priority 100; policy accept;
                \(ip) saddr . \(ip) daddr @hairpins masquerade
              }
              chain forward-filter {
                type filter hook forward priority 0; policy accept;
                jump refuse
              }
              chain output-filter {
                type filter hook output priority 0; policy accept;
                fib daddr type local accept
                jump refuse
              }
              chain input-filter {
                type filter hook input priority 0; policy accept;
                jump refuse-node-ports
              }
            }

            """
    }
}

extension Discovery.EndpointSlice {
    /// The Service that the slice belongs to.
    package var serviceKey: ObjectKey? {
        metadata.labels[Self.serviceNameLabel].map {
            ObjectKey(namespace: metadata.namespace, name: $0)
        }
    }
}
