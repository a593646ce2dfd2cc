import NetworkModel
import Proxy
import ProxyContract
import Telemetry

// What changes with every byte: it is in the metrics only, not in the snapshot.
extension MetricsWriter {
    /// `names` are those that sites give themselves.
    mutating func add(_ meters: ProxyMeters, names: [SiteID: SiteName]) {
        for (service, targets) in meters.services {
            for (site, meter) in targets {
                add(meter, service, names[site] ?? SiteName(id: site))
                addFailovers(to: site, meter, service, names)
            }
        }
        for link in meters.links {
            add(link, names[link.link.remote] ?? SiteName(id: link.link.remote))
        }
        for (index, loop) in meters.loops.enumerated() {
            histogram(
                "tieline_loop_lag_seconds",
                help: "By how much a timer of the event loop was late, five times a second.",
                ["loop": "\(index)"],
                loop.lag
            )
        }
        if let budget = meters.memoryBudget {
            gauge(
                "tieline_memory_budget_bytes",
                help: "Memory that the proxy plans with.",
                value: Double(budget)
            )
            gauge(
                "tieline_memory_used_bytes",
                help:
                    "Memory that counts for the budget: of the cgroup without files, or of the process.",
                value: Double(meters.memoryUsed)
            )
        }
        let held = meters.loops.map(\.held)
        for (kind, bytes) in [("streams", held.map(\.rings)), ("relays", held.map(\.relays))] {
            gauge(
                "tieline_buffered_bytes",
                help:
                    "Bytes that are kept for connections: of streams over links, of relays within the site.",
                ["kind": kind],
                value: Double(bytes.reduce(0, +))
            )
        }
    }

    private mutating func add(_ meter: TargetMeter, _ service: ServicePort, _ site: SiteName) {
        let labels = site.labels.merging(
            ["service": service.address.text, "port": service.port.text],
            uniquingKeysWith: { old, _ in old }
        )
        for (direction, bytes) in [("to_server", meter.toServers), ("to_client", meter.toClients)] {
            counter(
                "tieline_bytes_total",
                help: "Bytes of connections of this proxy's clients.",
                labels.merging(["direction": direction]) { old, _ in old },
                value: Double(bytes)
            )
        }
        for (name, fate, count) in [
            ("resumed", "went on over another one", meter.resumed),
            ("lost", "were reset", meter.lost),
        ] {
            counter(
                "tieline_streams_\(name)_total",
                help: "Connections of this proxy's clients that lost their path, and \(fate).",
                labels,
                value: Double(count)
            )
        }
        histogram(
            "tieline_connect_duration_seconds",
            help: "Time from a client's connection to the server that took it.",
            labels,
            meter.connect
        )
        histogram(
            "tieline_time_to_first_byte_seconds",
            help: "Time from a client's connection to the first byte of its server.",
            labels,
            meter.firstByte
        )
    }

    private mutating func addFailovers(
        to site: SiteID,
        _ meter: TargetMeter,
        _ service: ServicePort,
        _ names: [SiteID: SiteName]
    ) {
        let name = { (site: SiteID) in (names[site] ?? SiteName(id: site)).label }
        for (failover, count) in meter.failovers {
            counter(
                "tieline_failovers_total",
                help: "Failovers and failbacks that this proxy has seen.",
                [
                    "service": service.address.text, "port": service.port.text,
                    "from": name(failover.from), "to": name(site),
                    "reason": failover.reason.rawValue,
                ],
                value: Double(count)
            )
        }
    }

    private mutating func add(_ meter: LinkMeter, _ site: SiteName) {
        let name = meter.link.name?.text ?? "from/\(site.label)"
        let labels = site.labels.merging(["link": name]) { old, _ in old }
        gauge(
            "tieline_link_lanes",
            help: "Lanes of the link that are up; from/SITE: of the links that the site dials.",
            labels,
            value: Double(meter.lanes)
        )
        gauge(
            "tieline_link_bulk_lanes",
            help: "Lanes of the link that carry bulk beside the others, while there is any.",
            labels,
            value: Double(meter.bulkLanes)
        )
        for (direction, bytes) in [("sent", meter.sentBytes), ("received", meter.receivedBytes)] {
            counter(
                "tieline_link_bytes_total",
                help: "Bytes of the link's lanes, encrypted as they are.",
                labels.merging(["direction": direction]) { old, _ in old },
                value: Double(bytes)
            )
        }
    }
}

extension ProxySnapshot {
    /// The names that sites give themselves, as far as the snapshot has them.
    var siteNames: [SiteID: SiteName] {
        var names: [SiteID: SiteName] = [:]
        for link in links { if let remote = link.remote { names[remote.id] = remote } }
        for service in services {
            for target in service.targets { names[target.site.id] = target.site }
        }
        return names
    }
}
