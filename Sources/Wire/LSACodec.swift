import NetworkModel
package import Routing

/// A link-state advertisement as bytes: a body, and a signature over exactly the body's bytes.
///
/// An LSA is flooded on as it came; nobody encodes another proxy's LSA anew.
///
/// | bytes | field of the body |
/// |---|---|
/// | 12 | `tieline-lsa` and the version of this layout, 0 |
/// | 34 | origin ProxyID |
/// | 2 | fragment |
/// | 8 | sequence |
/// | 8 | when it was issued, in seconds since 1970 |
/// | 4 | for how many seconds it is believed, at most 3,600 |
/// | 2 | fragment count, 1...64 |
/// | 1 | 1: overload |
/// | 1 + n | display name |
/// | 2 + n | X25519 public key: 0 or 32 bytes |
/// | 1 | number of certificates, at most 2 |
/// | ... | certificates: DER (2 + n), leaf first |
/// | 2 | number of edges, at most 512, ascending |
/// | ... | edges: neighbor ProxyID (34), 0 mesh or 1 link, of a link: dialing SiteID (26), Link name (1 + n); cost (4), 0 for none |
/// | 2 | number of services, at most 512, ascending |
/// | ... | services: address (1 + n), port name (1 + n), endpoints (4) |
///
/// An edge of the mesh has no cost. One with the cost 1 is none: the origin was that neighbor before it started again. Readers from before
/// that meaning take it for an edge that the other end does not name.
///
/// No Link leads to its own site. What is written like one says what Links cost for single services: the neighbor (own site, 2n), n from 1, without a cost
/// begins the origin's Link of that name, each (own site, 2n + 1) with a cost names a service instead of a Link. The neighbor (own site, 1) says in
/// place of a cost how many connections are open to the servers of PORT.ADDRESS, which its name is. Readers from before these meanings leave such
/// edges out.
///
/// After the body: signature (2 + n, at most 1,024 bytes).
package enum LSACodec {
    private static let magic = Array("tieline-lsa".utf8) + [0]
    private static let maximumCertificate = 8_192
    private static let maximumSignature = 1_024

    /// What a decoded advertisement consists of.
    package struct Decoded: Sendable {
        package var lsa: LSA
        /// The bytes from 0 that the signature covers.
        package var bodyLength: Int
        package var signature: [UInt8]
    }

    /// The bytes to sign.
    package static func encodeBody(_ lsa: LSA) -> [UInt8] {
        var writer = FrameWriter(reserving: 2_048)
        writer.array(magic)
        writer.proxyID(lsa.origin)
        writer.uint16(lsa.fragment)
        writer.uint64(lsa.sequence)
        writer.uint64(UInt64(clamping: lsa.issued))
        writer.uint32(lsa.lifetime)
        writer.uint16(lsa.fragmentCount)
        writer.flag(lsa.overload)
        writer.text8(lsa.displayName)
        writer.bytes16(lsa.agreementKey)
        writer.uint8(UInt8(clamping: lsa.certificateChain.count))
        for certificate in lsa.certificateChain { writer.bytes16(certificate) }
        let others =
            lsa.predecessors.map(succession(of:)) + costs(of: lsa) + loads(of: lsa)
        let edges = others.isEmpty ? lsa.edges : (lsa.edges + others).sorted()
        writer.count16(edges.count)
        for edge in edges {
            writer.proxyID(edge.neighbor)
            switch edge.name {
            case .mesh:
                writer.uint8(0)
            case .link(let dialer, let name):
                writer.uint8(1)
                writer.siteID(dialer)
                writer.linkName(name)
            }
            writer.uint32(edge.cost.map { UInt32($0.value) } ?? 0)
        }
        writer.count16(lsa.services.count)
        for service in lsa.services {
            writer.servicePort(service.service)
            writer.uint32(service.endpoints)
        }
        return writer.bytes
    }

    /// How a predecessor is written down.
    private static func succession(of predecessor: ProxyID) -> LSAEdge {
        LSAEdge(neighbor: predecessor, name: .mesh, cost: LinkCost(1))
    }

    /// How service costs are written down.
    private static func costs(of lsa: LSA) -> [LSAEdge] {
        let site = lsa.origin.site
        var edges: [LSAEdge] = []
        var number: UInt64 = 2
        var current: LinkName?
        for entry in lsa.serviceCosts {
            if entry.link != current {
                number += current == nil ? 0 : 2
                current = entry.link
                let head = ProxyID(site: site, instance: number)
                let name = EdgeName.link(dialer: site, name: entry.link)
                edges.append(LSAEdge(neighbor: head, name: name, cost: nil))
            }
            // An address is a name of the same form.
            guard let name = LinkName(entry.service.text) else { continue }
            edges.append(
                LSAEdge(
                    neighbor: ProxyID(site: site, instance: number + 1),
                    name: .link(dialer: site, name: name),
                    cost: entry.cost
                )
            )
        }
        return edges
    }

    /// How loads are written down; those of the longest names are not.
    private static func loads(of lsa: LSA) -> [LSAEdge] {
        let site = lsa.origin.site
        return lsa.loads.compactMap { load in
            guard let name = LinkName("\(load.service.port).\(load.service.address)"),
                let open = LinkCost(Int32(clamping: load.open))
            else { return nil }
            return LSAEdge(
                neighbor: ProxyID(site: site, instance: 1),
                name: .link(dialer: site, name: name),
                cost: open
            )
        }
    }

    /// The body with its signature: the payload of an LSA frame.
    package static func seal(body: [UInt8], signature: [UInt8]) -> [UInt8] {
        var writer = FrameWriter(reserving: body.count + signature.count + 2)
        writer.array(body)
        writer.bytes16(signature)
        return writer.bytes
    }

    /// Which LSA it claims to be, and how new: enough to know whether it is worth verifying.
    package static func header(_ payload: RawSpan) throws(WireError) -> LSAHeader {
        var reader = FrameReader()
        return try header(&reader, payload)
    }

    private static func header(
        _ reader: inout FrameReader,
        _ payload: RawSpan
    ) throws(WireError) -> LSAHeader {
        guard try reader.array(magic.count, payload) == magic else { throw .invalid(.signature) }
        let key = LSAKey(
            origin: try reader.proxyID(payload),
            fragment: try reader.uint16(payload)
        )
        return LSAHeader(key: key, sequence: try reader.uint64(payload))
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Decoded {
        var reader = FrameReader()
        let header = try header(&reader, payload)
        var lsa = LSA(
            origin: header.key.origin,
            sequence: header.sequence,
            issued: Int64(clamping: try reader.uint64(payload)),
            lifetime: try reader.uint32(payload),
            fragment: header.key.fragment,
            fragmentCount: try reader.uint16(payload),
            overload: try reader.flag(payload),
            displayName: try reader.text8(.text, payload)
        )
        guard lsa.lifetime <= RoutingLimits.longestLifetime else { throw .invalid(.duration) }
        guard (1...RoutingLimits.fragmentsPerOrigin).contains(Int(lsa.fragmentCount)),
            lsa.fragment < lsa.fragmentCount
        else { throw .invalid(.fragment) }
        lsa.agreementKey = try reader.bytes16(.publicKey, limit: 32, payload)
        guard lsa.agreementKey.isEmpty || lsa.agreementKey.count == 32 else {
            throw .invalid(.publicKey)
        }
        let certificates = Int(try reader.uint8(payload))
        guard certificates <= 2 else {
            throw .tooLong(field: .certificate, count: certificates, limit: 2)
        }
        for _ in 0..<certificates {
            lsa.certificateChain.append(
                try reader.bytes16(.certificate, limit: maximumCertificate, payload)
            )
        }
        try readEdges(of: &lsa, &reader, payload)
        lsa.services = try services(&reader, payload)
        let bodyLength = reader.offset
        let signature = try reader.bytes16(.signature, limit: maximumSignature, payload)
        try reader.finish(payload)
        return Decoded(lsa: lsa, bodyLength: bodyLength, signature: signature)
    }

    private static func readEdges(
        of lsa: inout LSA,
        _ reader: inout FrameReader,
        _ payload: RawSpan
    ) throws(WireError) {
        let count = try reader.count16(limit: RoutingLimits.edgesPerFragment, payload)
        lsa.edges.reserveCapacity(count)
        defer { lsa.loads.sort { $0.service < $1.service } }
        var last: LSAEdge?
        var head: LSAEdge?
        for _ in 0..<count {
            let edge = try edge(&reader, payload)
            if let last, !(last < edge) { throw .invalid(.list) }
            last = edge
            if edge.name == .mesh, edge.cost != nil {
                guard edge == succession(of: edge.neighbor), edge.neighbor.site == lsa.origin.site,
                    lsa.predecessors.count < RoutingLimits.predecessors
                else { throw .invalid(.cost) }
                lsa.predecessors.append(edge.neighbor)
            } else if edge.neighbor.site != lsa.origin.site || edge.name == .mesh {
                lsa.edges.append(edge)
            } else if edge.neighbor.instance == 1 {
                lsa.loads.append(try load(edge))
            } else {
                try readCost(edge, of: &lsa, &head)
            }
        }
    }

    private static func load(_ edge: LSAEdge) throws(WireError) -> LSALoad {
        guard case .link(edge.neighbor.site, let name) = edge.name, let open = edge.cost,
            let dot = name.text.firstIndex(of: "."),
            let port = PortName(String(name.text[..<dot])),
            let address = ServiceAddress(String(name.text[name.text.index(after: dot)...]))
        else { throw .invalid(.cost) }
        return LSALoad(
            service: ServicePort(address: address, port: port),
            open: UInt32(open.value)
        )
    }

    /// `head`: the edge that began the Link of which the next ones speak.
    private static func readCost(
        _ edge: LSAEdge,
        of lsa: inout LSA,
        _ head: inout LSAEdge?
    ) throws(WireError) {
        guard let cost = edge.cost else {
            head = edge
            return
        }
        guard case .link(lsa.origin.site, let name) = edge.name,
            let service = ServiceAddress(name.text), let head,
            case .link(lsa.origin.site, let link) = head.name,
            edge.neighbor.instance == head.neighbor.instance &+ 1
        else { throw .invalid(.cost) }
        let entry = LSAServiceCost(link: link, service: service, cost: cost)
        if let last = lsa.serviceCosts.last, !(last < entry) { throw .invalid(.list) }
        lsa.serviceCosts.append(entry)
    }

    private static func edge(
        _ reader: inout FrameReader,
        _ payload: RawSpan
    ) throws(WireError) -> LSAEdge {
        let neighbor = try reader.proxyID(payload)
        let name: EdgeName
        if try reader.flag(payload) {
            name = .link(
                dialer: try reader.siteID(payload),
                name: try reader.linkName(payload)
            )
        } else {
            name = .mesh
        }
        let value = try reader.uint32(payload)
        let cost = LinkCost(Int32(clamping: value))
        guard value == 0 || cost != nil, value <= UInt32(Int32.max) else {
            throw .invalid(.cost)
        }
        return LSAEdge(neighbor: neighbor, name: name, cost: cost)
    }

    private static func services(
        _ reader: inout FrameReader,
        _ payload: RawSpan
    ) throws(WireError) -> [LSAService] {
        let count = try reader.count16(limit: RoutingLimits.servicesPerFragment, payload)
        var services: [LSAService] = []
        services.reserveCapacity(count)
        for _ in 0..<count {
            let service = LSAService(
                service: try reader.servicePort(payload),
                endpoints: try reader.uint32(payload)
            )
            if let last = services.last, !(last.service < service.service) {
                throw .invalid(.list)
            }
            services.append(service)
        }
        return services
    }
}
