package import NetworkModel

/// The name that a site gives itself.
package struct SidecarSiteName: Hashable, Sendable {
    package var site: SiteID
    package var name: String

    package init(site: SiteID, name: String) {
        self.site = site
        self.name = name
    }

    fileprivate func encode(into writer: inout FrameWriter) {
        writer.siteID(site)
        writer.text8(name)
    }
}

/// What a gateway tells an attached sidecar: services, their targets, names.
///
/// A table too long for one frame is sent in several of the same generation; the sidecar applies it with the last. A
/// service that comes again within a generation is continued: the targets are joined.
///
/// | bytes | field |
/// |---|---|
/// | 8 | generation, increasing |
/// | 1 | 1: the first frame of a table that replaces everything; 0: changes, or a continuation |
/// | 1 | 1: the last frame of this generation |
/// | 2 | number of services, at most 4,096 |
/// | ... | services: address (1 + n), port name (1 + n), connect, idle, half-closed (8 each), number of targets (2), targets: SiteID (26), path cost (4), weight (4), last resort (1), absence (1 + n), number of routes (1), routes (1 + 34 n each) |
/// | 2 | number of removed services |
/// | ... | removed services: address (1 + n), port name (1 + n) |
/// | 2 | number of names |
/// | ... | names: SiteID (26), name (1 + n) |
/// | 2 | number of policies, at most 4,096; absent, as in older tables: 0 |
/// | ... | policies: address (1 + n), port name (1 + n), 1: weights by site (1), least endpoints (4), slow start (8), number of targets (2), targets: SiteID (26), what is given: 1 weight, 2 cost, 4 tier, 8: it is used (1), weight (4), cost (4), tier (2) |
/// | 2 | number of services whose clients' first bytes travel with OPEN, at most 4,096; absent, as in older tables: 0 |
/// | ... | these services: address (1 + n), port name (1 + n) |
package struct SidecarTable: Frame, Hashable {
    package static let type = FrameType.table

    package var generation: UInt64
    package var replacesAll: Bool
    package var isLast: Bool
    package var services: [SidecarService]
    package var removed: [ServicePort]
    package var names: [SidecarSiteName]
    /// Of services of the same generation; a service without one goes by path costs and endpoints.
    package var policies: [SidecarPolicy]
    /// Services of the same generation, whose clients' first bytes travel with OPEN.
    package var early: [ServicePort]

    package init(
        generation: UInt64,
        replacesAll: Bool,
        isLast: Bool = true,
        services: [SidecarService] = [],
        removed: [ServicePort] = [],
        names: [SidecarSiteName] = [],
        policies: [SidecarPolicy] = [],
        early: [ServicePort] = []
    ) {
        self.generation = generation
        self.replacesAll = replacesAll
        self.isLast = isLast
        self.services = services
        self.removed = removed
        self.names = names
        self.policies = policies
        self.early = early
    }

    /// The same table in frames that each fit.
    package func fragments() -> [SidecarTable] {
        var packer = ListPacker(
            first: SidecarTable(generation: generation, replacesAll: replacesAll, isLast: false),
            next: SidecarTable(generation: generation, replacesAll: false, isLast: false)
        )
        for service in services {
            let head = service.head
            packer.add(head.encode) { $0.services.append(head) }
            for target in service.targets {
                packer.add(target.encode, within: head.encode) {
                    $0.services.append(head)
                } _: {
                    $0.services[$0.services.count - 1].targets.append(target)
                }
            }
        }
        for service in removed {
            packer.add {
                $0.servicePort(service)
            } _: {
                $0.removed.append(service)
            }
        }
        for name in names { packer.add(name.encode) { $0.names.append(name) } }
        for policy in policies {
            let head = policy.head
            packer.add(head.encode) { $0.policies.append(head) }
            for site in policy.sites {
                packer.add(site.encode, within: head.encode) {
                    $0.policies.append(head)
                } _: {
                    $0.policies[$0.policies.count - 1].sites.append(site)
                }
            }
        }
        for service in early {
            packer.add {
                $0.servicePort(service)
            } _: {
                $0.early.append(service)
            }
        }
        var fragments = packer.frames
        fragments[fragments.count - 1].isLast = true
        return fragments
    }

    /// Writes one fragment.
    package func encode(into writer: inout FrameWriter) {
        writer.uint64(generation)
        writer.flag(replacesAll)
        writer.flag(isLast)
        writer.count16(services.count)
        for service in services { service.encode(into: &writer) }
        writer.count16(removed.count)
        for service in removed { writer.servicePort(service) }
        writer.count16(names.count)
        for name in names { name.encode(into: &writer) }
        // Older readers expect nothing behind what they know.
        guard !policies.isEmpty || !early.isEmpty else { return }
        writer.count16(policies.count)
        for policy in policies { policy.encode(into: &writer) }
        guard !early.isEmpty else { return }
        writer.count16(early.count)
        for service in early { writer.servicePort(service) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        self.init(
            generation: try reader.uint64(payload),
            replacesAll: try reader.flag(payload),
            isLast: try reader.flag(payload)
        )
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            services.append(try SidecarService(reading: &reader, payload))
        }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            removed.append(try reader.servicePort(payload))
        }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            names.append(
                SidecarSiteName(
                    site: try reader.siteID(payload),
                    name: try reader.text8(.text, payload)
                )
            )
        }
        guard reader.remaining(payload) > 0 else { return }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            policies.append(try SidecarPolicy(reading: &reader, payload))
        }
        guard reader.remaining(payload) > 0 else { return }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            early.append(try reader.servicePort(payload))
        }
    }
}

/// Says how much of a table has arrived at a sidecar; all of it: that it is in force.
///
/// | bytes | field |
/// |---|---|
/// | 8 | generation |
/// | 4 | frames of that generation |
package struct SidecarTableAcknowledgment: Frame, Hashable {
    package static let type = FrameType.tableAcknowledgment

    package var generation: UInt64
    package var frames: UInt32

    package init(generation: UInt64, frames: UInt32) {
        self.generation = generation
        self.frames = frames
    }

    package func encode(into writer: inout FrameWriter) {
        writer.uint64(generation)
        writer.uint32(frames)
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        generation = try reader.uint64(payload)
        frames = try reader.uint32(payload)
    }
}
