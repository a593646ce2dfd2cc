import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel

/// One thing that was looked at.
struct CheckFinding: Encodable, Equatable {
    enum Verdict: String, Encodable { case ok, unknown, warning, failure }

    let check: String
    let verdict: Verdict
    let message: String
    /// What to do; nil where nothing is to be done.
    let hint: String?

    init(_ check: String, _ verdict: Verdict, _ message: String, hint: String? = nil) {
        self.check = check
        self.verdict = verdict
        self.message = message
        self.hint = hint
    }
}

/// What a namespace has of Tieline; nil: it could not be read.
struct CheckedNamespace {
    var sites: [Site]?
    var links: [Link]?
    var services: [Service]?
    var pods: [Core.Pod]?
    var gateways: Apps.Deployment?
}

/// What is right and wrong, from what was read.
///
/// Pure.
struct CheckReport {
    private(set) var findings: [CheckFinding] = []

    var isFine: Bool { findings.allSatisfy { $0.verdict == .ok || $0.verdict == .unknown } }

    mutating func add(_ finding: CheckFinding) { findings.append(finding) }

    private mutating func ok(_ check: String, _ message: String) {
        add(CheckFinding(check, .ok, message))
    }

    private mutating func bad(
        _ check: String,
        _ message: String,
        as verdict: CheckFinding.Verdict = .failure,
        hint: String
    ) {
        add(CheckFinding(check, verdict, message, hint: hint))
    }

    var text: String {
        var table = Table(["CHECK", "VERDICT", "MESSAGE"])
        for finding in findings {
            table.add([finding.check, finding.verdict.rawValue, finding.message])
        }
        let hints = findings.compactMap { finding in
            finding.hint.map { "  \(finding.check): \(Table.printable($0))\n" }
        }
        return table.text + (hints.isEmpty ? "" : "\nWhat to do:\n" + hints.joined())
    }

    // MARK: The installation

    /// `fields`: those of the spec that the API server takes; nil: it does not serve the kind.
    mutating func look(at kind: ObjectKind, fields: Set<String>?) {
        let check = "crd/\(kind.plural)"
        let remedy = "apply the CustomResourceDefinitions of version \(Build.version)"
        guard let fields else {
            return bad(check, "the API server does not serve it", hint: remedy)
        }
        let missing = kind.specFields.subtracting(fields).sorted()
        guard missing.isEmpty else {
            let list = missing.joined(separator: ", ")
            return bad(
                check,
                "it is of an older version, without \(list)",
                as: .warning,
                hint: remedy
            )
        }
        ok(check, "served, and of this version")
    }

    mutating func look(at controller: Apps.Deployment?, lease: Coordination.Lease?, now: Timestamp)
    {
        let check = "controller"
        guard let controller else {
            return bad(
                check,
                "there is no Deployment tieline-controller",
                hint: "install Tieline, or name the controller's namespace (--controller-namespace)"
            )
        }
        guard let ready = controller.status.readyReplicas, ready > 0 else {
            return bad(
                check,
                "no controller is ready: what is there works on, and no change is taken up",
                hint: "kubectl describe pods -n \(controller.metadata.namespace ?? "") "
                    + "-l app.kubernetes.io/name=tieline"
            )
        }
        ok(check, "\(ready) of \(controller.spec.replicas ?? 1) are ready")
        guard let renewed = lease?.spec.renewTime?.time else { return }
        let ahead = (renewed - now).components.seconds
        if ahead > 5 || ahead < -60 {
            bad(
                "clock",
                "the leading controller's clock and this host's differ, or none leads: \(abs(ahead)) s",
                as: .warning,
                hint: "set both clocks; certificates and tokens allow for 5 minutes"
            )
        } else {
            ok("clock", "this host's and the leading controller's agree")
        }
    }

    // MARK: A namespace

    mutating func look(at namespace: String, _ found: CheckedNamespace, now: Timestamp) {
        unread(namespace, "sites", found.sites == nil)
        unread(namespace, "links", found.links == nil)
        unread(namespace, "services", found.services == nil)
        unread(namespace, "pods", found.pods == nil)
        if found.sites?.isEmpty == true {
            bad(
                "site",
                "namespace \(namespace) has no Site",
                as: .warning,
                hint: "kubectl apply one, or choose another namespace with -n"
            )
        }
        for site in found.sites ?? [] { look(at: site, now) }
        for link in found.links ?? [] { look(at: link) }
        for service in found.services ?? [] { look(at: service) }
        lookAtSidecars(found.pods ?? [], found.gateways)
    }

    private mutating func unread(_ namespace: String, _ what: String, _ isUnread: Bool) {
        guard isUnread else { return }
        let right = "the right to list \(what) in namespace \(namespace) is missing"
        add(CheckFinding(what, .unknown, right, hint: "ask for the ClusterRole tieline-view there"))
    }

    private mutating func look(at site: Site, _ now: Timestamp) {
        let name = "site/\(site.metadata.name)"
        judge(name, site.status.conditions, [.ready, .informed, .certificatesCurrent])
        let certificates = site.status.certificates
        ends(name, "the CA", certificates?.authority, now, warning: 7 * 24)
        // They are renewed when a third of seven days is left.
        ends(name, "the gateways' certificate", certificates?.gateway, now, warning: 48)
        ends(name, "the sidecars' certificate", certificates?.sidecar, now, warning: 48)
    }

    private mutating func ends(
        _ name: String,
        _ what: String,
        _ end: Timestamp?,
        _ now: Timestamp,
        warning hours: Int64
    ) {
        guard let end else { return }
        let left = (end - now).components.seconds / 3600
        guard left < hours else { return }
        let verdict: CheckFinding.Verdict = left < 24 ? .failure : .warning
        bad(
            name,
            left < 0 ? "\(what) ended at \(end)" : "\(what) ends at \(end), in \(left) h",
            as: verdict,
            hint: what == "the CA"
                ? "renew it with the same key (docs/identity.md)"
                : "the controller renews it: is it up, and what does its log say?"
        )
    }

    private mutating func look(at link: Link) {
        let name = "link/\(link.metadata.name)"
        judge(name, link.status.conditions, [.ready, .connected])
    }

    private mutating func look(at service: Service) {
        let name = "service/\(service.metadata.name)"
        judge(name, service.status.conditions, [.ready, .hasTargets])
    }

    /// One line for an object: its first condition that is not as wished.
    private mutating func judge(
        _ name: String,
        _ conditions: [Condition],
        _ wished: [ConditionType]
    ) {
        guard !conditions.isEmpty, conditions[type: ConditionType.ready.rawValue] != nil else {
            return bad(
                name,
                "nobody has looked at it yet",
                hint: "is the controller up, and is it this one's (spec.controllerName)?"
            )
        }
        let failing = wished.compactMap { conditions[type: $0.rawValue] }.filter {
            $0.status != .yes
        }
        guard let first = failing.first else { return ok(name, "Ready") }
        let isOfOthers = first.type != ConditionType.ready.rawValue
        bad(
            name,
            "\(first.type) is \(first.status.rawValue), \(first.reason)",
            as: isOfOthers ? .warning : .failure,
            hint: first.message.isEmpty ? "kubectl describe t\(name)" : first.message
        )
    }

    /// Those that run another image than the gateways.
    private mutating func lookAtSidecars(_ pods: [Core.Pod], _ gateways: Apps.Deployment?) {
        let sidecars = pods.compactMap { pod in
            pod.spec.initContainers.first { $0.args.contains("--sidecar") }.map { (pod, $0.image) }
        }
        guard !sidecars.isEmpty, let wanted = gateways?.spec.template.spec.containers.first?.image
        else { return }
        let old = sidecars.filter { $0.1 != wanted }.map(\.0.metadata.name).sorted()
        guard let first = old.first else {
            return ok("sidecars", "\(sidecars.count) run the image of the gateways")
        }
        bad(
            "sidecars",
            "\(old.count) of \(sidecars.count) run another image than the gateways, such as \(first)",
            as: .warning,
            hint: "inject anew (tieline inject) and restart these workloads"
        )
    }
}

extension ObjectKind {
    var plural: String {
        switch self {
        case .site: Site.resource.plural
        case .link: Link.resource.plural
        case .service: Service.resource.plural
        }
    }

    fileprivate var specFields: Set<String> {
        if case .object(let fields) = specShape { Set(fields.keys) } else { [] }
    }
}
