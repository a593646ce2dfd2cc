import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract

/// The compiled configuration of one site, kept up to date at the cost of what changed.
struct SiteCompilation: Sendable {
    /// What the part beside the services was made from, by version.
    struct FrameInputs: Equatable, Sendable {
        let uid: String?
        let generation: Int64?
        let siteID: SiteID
        /// Links that are there and do not decode.
        let unreadableLinks: Set<String>
        let joins: Joins

        init(
            _ site: Site,
            _ siteID: SiteID,
            unreadableLinks: Set<String> = [],
            joins: Joins = Joins()
        ) {
            self.joins = joins
            (uid, generation) = (site.metadata.uid, site.metadata.generation)
            self.siteID = siteID
            self.unreadableLinks = unreadableLinks
        }
    }

    private let siteUID: String?
    private let siteID: SiteID
    private var compiler: ServiceCompiler
    private(set) var layout: ServiceLayout
    /// The configuration beside its services.
    private var frame: SiteConfiguration
    private(set) var frameFindings: [Finding] = []
    /// Nil: to be compiled.
    private(set) var frameInputs: FrameInputs?
    /// What leads to the gateways themselves, and no host may be.
    var ownAddresses: AddressList?
    private var services: [String: ServiceConfiguration] = [:]
    /// Services that are there and do not decode.
    var unreadable: Set<String> = []
    /// Secrets as they are, and what the head says.
    var secrets: ConfigurationSecrets
    var head: ConfigurationHead?
    /// When the parts were read.
    var partsRead: Instant

    /// Begins with what the gateways were told: `told` keeps its listener ports.
    init(
        told: [ServiceConfiguration],
        ports: ListenerPorts?,
        secrets: ConfigurationSecrets,
        head: ConfigurationHead?,
        siteUID: String?,
        siteID: SiteID,
        limits: ServiceLayout.Limits = .init(),
        at now: Instant
    ) {
        compiler = ServiceCompiler(
            listeners: .allocated(ports ?? ListenerPorts(record: told), now: now)
        )
        layout = ServiceLayout(count: head?.parts?.count ?? 0, limits: limits)
        frame = SiteConfiguration(site: SiteName(id: siteID))
        (self.siteUID, self.siteID) = (siteUID, siteID)
        self.secrets = secrets
        self.head = head
        partsRead = now
    }

    var ports: ListenerPorts { compiler.ports }

    func isOf(_ site: Site, _ siteID: SiteID) -> Bool {
        siteUID == site.metadata.uid && self.siteID == siteID
    }

    mutating func setFrame(
        _ inputs: FrameInputs,
        site: Site,
        links: [Link],
        keeping: [LinkConfiguration] = []
    ) {
        (frame, frameFindings) = compileFrame(
            site: site,
            siteID: inputs.siteID,
            links: links,
            joins: inputs.joins,
            keeping: keeping
        )
        compiler.setBook(SiteBook(of: site, inputs.siteID))
        frameInputs = inputs
    }

    mutating func set(_ service: Service) { compiler.set(service) }
    mutating func keep(_ part: ServiceConfiguration) { compiler.keep(part) }
    mutating func remove(_ service: String) { compiler.remove(service) }

    /// Brings everything up to date; returns the names of the Services of which something may be different.
    mutating func settle(at now: Instant) throws -> Set<String> {
        var changed = compiler.settle(at: now)
        for name in changed {
            let service = compiler.service(name)
            services[name] = service
            try layout.set(name, service)
        }
        changed.formUnion(layout.settle(isOlder: compiler.isOlder))
        return changed
    }

    /// What the head holds.
    var configuration: SiteConfiguration {
        var configuration = frame
        configuration.ownAddresses = ownAddresses
        if layout.count == 0 {
            configuration.services = services.values.sorted { $0.name < $1.name }
        }
        return configuration
    }

    /// What the configuration has of a Service; nil when it is not in it.
    func service(_ name: String) -> ServiceConfiguration? {
        layout.left[name] == nil ? services[name] : nil
    }

    func findings(of service: String) -> [Finding] {
        var findings = compiler.findings(of: service)
        if let message = layout.left[service] {
            findings.append(
                Finding(
                    object: FoundObject(kind: .service, name: service),
                    field: "spec",
                    condition: .programmed,
                    reason: .configurationTooLarge,
                    message: message
                )
            )
        }
        return findings
    }

    /// How many Services were looked at since the beginning.
    var examined: Int { compiler.examined }
}
