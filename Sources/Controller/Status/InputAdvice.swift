import KubernetesAPI
import KubernetesRuntime
import NetworkAPI
import NetworkModel

/// What is said of what cannot be read: what, since when, why, and what to do.
enum InputAdvice {
    /// The words for status, or for whoever looks at the controller; nil when everything can be read.
    ///
    /// The same troubles give the same words. Inputs with the same trouble share a sentence, which names the first of them.
    static func text(_ troubles: [Input: InputHealth.Trouble], isOfOneSite: Bool) -> String? {
        let groups = Dictionary(grouping: troubles) { Group($0.key, $0.value.reason) }
        let sentences = groups.map { group, members in
            let sorted = members.map { member in
                "\(name(member.key, isOfOneSite)) since \(member.value.time.wholeSeconds)"
            }.sorted()
            let shown = sorted.prefix(shownInputs).joined(separator: ", ")
            let rest =
                sorted.count > shownInputs ? " and \(sorted.count - shownInputs) more" : ""
            return "cannot read \(shown)\(rest): \(group.advice)"
        }
        return sentences.isEmpty ? nil : sentences.sorted().joined(separator: "; ")
    }

    private static let shownInputs = 12

    /// The same of one input of a Site that cannot be read just now.
    static func text(_ input: Input, _ reason: ReadingTrouble) -> String {
        "cannot read \(name(input, true)): \(advice(input, reason))"
    }

    /// The input as a log line names it.
    static func name(_ input: Input) -> String { name(input, false) }

    /// Why, and what to do.
    static func advice(_ input: Input, _ reason: ReadingTrouble?) -> String {
        Group(input, reason).advice
    }

    private static func name(_ input: Input, _ isOfOneSite: Bool) -> String {
        switch input {
        case .kind(let name): name
        case .secret(let key): "secrets \(isOfOneSite ? key.name : "\(key)")"
        case .gateway(let key): "snapshots of \(isOfOneSite ? key.name : "\(key)")"
        }
    }
}

extension Timestamp {
    fileprivate var wholeSeconds: Timestamp { Timestamp(seconds: seconds) }
}

/// Inputs of which the same is said.
private struct Group: Hashable {
    enum Source: Hashable { case gateway, ours, cluster, brought }

    let source: Source
    let reason: ReadingTrouble?

    init(_ input: Input, _ reason: ReadingTrouble?) {
        self.reason = reason
        source =
            switch input {
            case .gateway: .gateway
            case .secret(let key) where !ChildName.isReadable(key.name): .brought
            case .kind(let name) where name.hasSuffix(".\(Site.resource.group)"): .ours
            case .kind, .secret: .cluster
            }
    }

    var advice: String { source == .gateway ? ofGateway : ofServer }

    private var ofServer: String {
        switch reason {
        case .refused(401): "the API server does not accept the controller's token (401)"
        case .refused(let code) where source == .brought:
            "the controller may not get, list and watch it (\(code)): give these rights on this Secret to its ServiceAccount "
                + "(for a token docs/joining.md; for a CA docs/identity.md, or name it \(ChildName.broughtSecret))"
        case .refused(let code):
            "the controller may not list and watch it (\(code)): apply the ClusterRoles of the installed version"
        case .notServed where source == .ours:
            "the API server does not serve it (404): apply the CustomResourceDefinitions of the installed version"
        case .notServed:
            "the API server does not serve it (404): does something else answer in its place?"
        case .failed(let code):
            "the API server answers \(code): kubectl get --raw '/readyz?verbose' shows what it lacks"
        case .silent, nil:
            "the API server does not answer: look at its load, and at what is between"
        case .away: "nobody takes connections at the API server's address"
        case .undecodable:
            "the answer does not decode: does something else answer in the API server's place?"
        case .broken: "the API server ends each watch at once: look at what is between"
        case .unasked: "the request cannot be made: the controller's log says why"
        }
    }

    private var ofGateway: String {
        switch reason {
        case .refused(let code):
            "the gateway does not accept the controller's key (\(code)): has it applied its configuration?"
        case .notServed:
            "the gateway has no snapshots (404): does its version fit the controller's?"
        case .failed(let code): "the gateway answers \(code): its log says why"
        case .undecodable:
            "what the gateway tells does not decode: does its version fit the controller's?"
        case .silent, .away, .broken, .unasked, nil:
            "the gateway does not answer: the controller must reach its port \(Names.adminPort)"
        }
    }
}
