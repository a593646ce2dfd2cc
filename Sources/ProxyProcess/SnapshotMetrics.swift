import Certificates
import FoundationEssentials
import NetworkModel
import Proxy
import ProxyContract
import Telemetry

/// When the two certificates end that a proxy shows.
struct CertificateEnds: Sendable {
    var leaf: Date
    var authority: Date

    /// Nil when the chain cannot be read.
    init?(chainPEM: String) {
        guard let leaf = LeafCertificate.notAfter(chainPEM: chainPEM),
            let authority = LeafCertificate.authorityEnd(chainPEM: chainPEM)
        else { return nil }
        (self.leaf, self.authority) = (leaf, authority)
    }
}

// The proxy's metrics are made from its snapshot at every scrape: one source for status and metrics.
extension MetricsWriter {
    mutating func add(_ snapshot: ProxySnapshot, isReady: Bool, certificates: CertificateEnds?) {
        gauge("tieline_ready", help: "1 while the proxy is ready.", value: isReady ? 1 : 0)
        gauge(
            "tieline_configuration_generation",
            help: "Generation of the configuration that the proxy routes with.",
            value: Double(snapshot.appliedGeneration)
        )
        counter(
            "tieline_configurations_applied_total",
            help: "Configurations applied since the start.",
            value: Double(snapshot.appliedCount)
        )
        gauge(
            "tieline_sidecars_attached",
            help: "Sidecars attached to this gateway.",
            value: Double(snapshot.sidecars.count)
        )
        if let certificates {
            gauge(
                "tieline_cert_expiry_timestamp_seconds",
                help: "When the proxy's certificate ends, in seconds since 1970.",
                value: certificates.leaf.timeIntervalSince1970.rounded()
            )
            gauge(
                "tieline_ca_expiry_timestamp_seconds",
                help: "When the certificate of the site's CA ends, in seconds since 1970.",
                value: certificates.authority.timeIntervalSince1970.rounded()
            )
        }
        counter(
            "tieline_advertisements_refused_total",
            help: "Advertisements of other gateways that were not believed or did not fit.",
            value: Double(snapshot.refusedAdvertisements)
        )
        addShortages(snapshot.shortages ?? [])
        for counters in snapshot.counters { add(counters) }
        for service in snapshot.services { add(service) }
        for link in snapshot.links { add(link) }
    }

    private mutating func addShortages(_ current: [String]) {
        for shortage in Shortage.allCases {
            gauge(
                "tieline_short",
                help: "1 while connections wait, or fail, for want of this.",
                ["resource": shortage.rawValue],
                value: current.contains(shortage.explanation) ? 1 : 0
            )
            counter(
                "tieline_shortages_total",
                help:
                    "How often accepting paused, or a connection to a server failed, for want of this.",
                ["resource": shortage.rawValue],
                value: Double(Shortages.count(shortage))
            )
            counter(
                "tieline_accept_paused_seconds_total",
                help: "For how long listeners accepted nothing for want of this, all together.",
                ["resource": shortage.rawValue],
                value: Double(Shortages.paused(shortage).wholeNanoseconds) / 1e9
            )
        }
    }

    mutating func add(_ usage: [NeighborUsage]) {
        for entry in usage {
            let labels = ["remote_site_id": entry.site.text, "resource": entry.resource]
            gauge(
                "tieline_neighbor_usage",
                help: "What the neighbor site holds of this proxy.",
                labels,
                value: Double(entry.used)
            )
            gauge(
                "tieline_neighbor_share",
                help: "The most that the neighbor site may hold.",
                labels,
                value: Double(entry.share)
            )
            counter(
                "tieline_neighbor_denied_total",
                help:
                    "How often the neighbor site was paused, refused or reset for want of its share.",
                labels,
                value: Double(entry.denied)
            )
        }
    }

    private mutating func add(_ counters: ServiceCounters) {
        let labels = Self.labels(of: counters.service)
        gauge(
            "tieline_connections_active",
            help: "Connections of this proxy's clients that are open.",
            labels,
            value: Double(counters.active)
        )
        counter(
            "tieline_connections_opened_total",
            help: "Connections of this proxy's clients that were opened.",
            labels,
            value: Double(counters.opened)
        )
        counter(
            "tieline_connect_failures_total",
            help: "Connections of this proxy's clients that no target took.",
            labels,
            value: Double(counters.failed)
        )
        counter(
            "tieline_connections_interrupted_total",
            help: "Connections that were reset after bytes had been exchanged.",
            labels,
            value: Double(counters.interrupted)
        )
        counter(
            "tieline_connections_refused_total",
            help:
                "Connections of clients that were reset before a target was tried: they came back from this proxy itself, or the service held its share of descriptors.",
            labels,
            value: Double(counters.refused)
        )
    }

    private mutating func add(_ service: ServiceSnapshot) {
        let labels = Self.labels(of: service.service)
        gauge(
            "tieline_service_listening",
            help: "1 while the proxy listens for clients of the service.",
            labels,
            value: service.listening ? 1 : 0
        )
        gauge(
            "tieline_service_usable_targets",
            help: "Sites that are used as a target; 0: clients are refused.",
            labels,
            value: Double(service.targets.count { $0.state == .usable })
        )
        for target in service.targets {
            let labels = labels.merging(target.site.labels) { old, _ in old }
            if let cost = target.pathCost {
                gauge(
                    "tieline_service_path_cost",
                    help: "Cost of the cheapest path to the site; absent while there is none.",
                    labels,
                    value: Double(cost.value)
                )
            }
            gauge(
                "tieline_service_endpoints",
                help: "Ready endpoints at the site.",
                labels,
                value: Double(target.endpoints)
            )
            gauge(
                "tieline_service_connections",
                help: "Connections that this whole site has open to the site's servers.",
                labels,
                value: Double(target.connections)
            )
            gauge(
                "tieline_service_target_usable",
                help: "1 while the site is used as a target.",
                labels,
                value: target.state == .usable ? 1 : 0
            )
        }
    }

    private mutating func add(_ link: LinkSnapshot) {
        let remote = link.remote?.labels ?? ["remote_site": "", "remote_site_id": ""]
        let labels = remote.merging(["link": link.name.text]) { old, _ in old }
        gauge(
            "tieline_link_up",
            help: "1 while the link is established.",
            labels,
            value: link.reason == .connected ? 1 : 0
        )
        gauge(
            "tieline_link_cost",
            help: "Cost that the proxy routes with.",
            labels,
            value: Double(link.cost.value)
        )
        gauge(
            "tieline_link_connections_active",
            help: "Streams that cross the link.",
            labels,
            value: Double(link.active)
        )
        counter(
            "tieline_link_connections_opened_total",
            help: "Streams that have crossed the link.",
            labels,
            value: Double(link.opened)
        )
        counter(
            "tieline_link_flaps_total",
            help: "How often the established link was lost.",
            labels,
            value: Double(link.losses)
        )
        counter(
            "tieline_link_lanes_dialed_total",
            help: "Lanes dialed for the link, those that failed included.",
            labels,
            value: Double(link.lanesDialed)
        )
        guard let roundTrip = link.roundTripMicroseconds else { return }
        gauge(
            "tieline_link_rtt_seconds",
            help: "Smoothed round-trip time of the link.",
            labels,
            value: Double(roundTrip) / 1_000_000
        )
    }

    private static func labels(of service: ServicePort) -> Labels {
        ["service": service.address.text, "port": service.port.text]
    }
}

extension SiteName {
    /// The name, or the identity where there is none.
    var label: String { name.isEmpty ? id.text : name }

    /// For people the name that the site gives itself; two may have the same one, so the identity as well.
    var labels: Labels {
        ["remote_site": label, "remote_site_id": id.text]
    }
}
