import Balancing
import FoundationEssentials
import NetworkModel
import ProxyContract
import Routing
import Wire

// How the values in inputs are written down: as JSON of plain numbers, texts and bytes.

/// A value with a form that is written down in its place.
protocol Recorded {
    associatedtype Form: Codable

    var form: Form { get }
    init(form: Form) throws
}

/// What was written down cannot be read.
struct RecordingProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension Optional {
    /// The value, which the kind of its input needs.
    func needed(_ what: String) throws -> Wrapped {
        guard let self else { throw RecordingProblem("an input has no \(what)") }
        return self
    }
}

extension IPAddress: Recorded {
    var form: String { description }

    init(form: String) throws { self = try IPAddress(form).needed("address \(form)") }
}

extension Endpoint: Recorded {
    struct Form: Codable {
        var address: String
        var port: UInt16
    }

    var form: Form { Form(address: address.form, port: port) }

    init(form: Form) throws {
        self.init(address: try IPAddress(form: form.address), port: form.port)
    }
}

extension ListenPlace: Recorded {
    struct Form: Codable {
        var address: String?
        var port: UInt16
    }

    var form: Form { Form(address: address?.form, port: port) }

    init(form: Form) throws {
        self.init(address: try form.address.map(IPAddress.init(form:)), port: form.port)
    }
}

extension LocalEndpoint: Recorded {
    struct Form: Codable {
        var endpoint: Endpoint.Form
        var port: PortName?
        var ready: Bool
        var serving: Bool
        var terminating: Bool
    }

    var form: Form {
        Form(
            endpoint: endpoint.form,
            port: portName,
            ready: ready,
            serving: serving,
            terminating: terminating
        )
    }

    init(form: Form) throws {
        self.init(
            endpoint: try Endpoint(form: form.endpoint),
            portName: form.port,
            ready: form.ready,
            serving: form.serving,
            terminating: form.terminating
        )
    }
}

extension SiteConfiguration {
    /// Without what proves that somebody holds a token.
    fileprivate var withoutKeys: Self {
        var copy = self
        for index in copy.links.indices { copy.links[index].token?.key = Data() }
        for index in (copy.grants ?? []).indices { copy.grants?[index].key = Data() }
        return copy
    }
}

/// Without the key of snapshots, which is a secret.
extension ConfigurationDocument: Recorded {
    struct Form: Codable {
        var generation: UInt64
        var configuration: SiteConfiguration
        var parts: [String]?
    }

    var form: Form {
        Form(
            generation: generation,
            configuration: configuration.withoutKeys,
            parts: parts?.map { String(decoding: $0.bytes, as: UTF8.self) }
        )
    }

    init(form: Form) throws {
        self.init(
            generation: form.generation,
            snapshotKey: "",
            configuration: form.configuration,
            parts: try form.parts?.map { try ConfigurationPart(Data($0.utf8)) }
        )
    }
}

extension LaneCandidate: Recorded {
    struct Form: Codable {
        var lane: UInt64
        var loop: Int
        var purpose: String
        var remote: Endpoint.Form
        var site: SiteID
        var role: UInt8
        var hello: Data
        var grant: String?
        var verdict: String?
    }

    var form: Form {
        Form(
            lane: id.number,
            loop: loop,
            purpose: purpose.rawValue,
            remote: remote.form,
            site: site,
            role: role.rawValue,
            hello: Data(hello.encoded),
            grant: claim?.grant,
            verdict: claim?.verdict.rawValue
        )
    }

    init(form: Form) throws {
        self.init(
            id: LaneID(number: form.lane),
            loop: form.loop,
            purpose: try LanePurpose(rawValue: form.purpose).needed("purpose"),
            remote: try Endpoint(form: form.remote),
            site: form.site,
            role: try ProxyRole(rawValue: form.role).needed("role"),
            hello: try Array(form.hello).decode(Hello.decode),
            claim: form.grant.map { grant in
                let verdict = form.verdict.flatMap(JudgedClaim.Verdict.init) ?? .wrong
                return JudgedClaim(grant: grant, verdict: verdict)
            }
        )
    }
}

extension LaneEnd: Recorded {
    struct Form: Codable {
        var kind: String
        var site: SiteID?
        var text: String?
        var code: UInt8?
        var isClockSkew: Bool?
        var closing: Data?
    }

    var form: Form {
        switch self {
        case .unexpectedSite(let site): Form(kind: "unexpectedSite", site: site)
        case .certificate(let text, let isClockSkew):
            Form(kind: "certificate", text: text, isClockSkew: isClockSkew)
        case .alert(let code, let name): Form(kind: "alert", text: name, code: code)
        case .closedByNeighbor(let closing):
            Form(kind: "closedByNeighbor", closing: Data(closing.encoded))
        case .closedHere(let closing): Form(kind: "closedHere", closing: Data(closing.encoded))
        case .failed(let text): Form(kind: "failed", text: text)
        }
    }

    init(form: Form) throws {
        func closing() throws -> LaneClosing {
            try Array(form.closing.needed("closing")).decode(LaneClosing.decode)
        }
        switch form.kind {
        case "unexpectedSite": self = .unexpectedSite(try form.site.needed("site"))
        case "certificate":
            self = .certificate(
                try form.text.needed("text"),
                isClockSkew: form.isClockSkew ?? false
            )
        case "alert":
            self = .alert(code: try form.code.needed("code"), name: try form.text.needed("text"))
        case "closedByNeighbor": self = .closedByNeighbor(try closing())
        case "closedHere": self = .closedHere(try closing())
        default: self = .failed(try form.text.needed("text"))
        }
    }
}

extension LaneFigures: Recorded {
    struct Form: Codable {
        var roundTrip: UInt64?
        var active: UInt64
        var opened: UInt64
    }

    var form: Form { Form(roundTrip: roundTrip, active: active, opened: opened) }

    init(form: Form) {
        self.init(roundTrip: form.roundTrip, active: form.active, opened: form.opened)
    }
}

extension Question: Recorded {
    struct Form: Codable {
        var kind: String
        var host: String
        var link: LinkName?
        var attempt: UInt64?
    }

    var form: Form {
        switch self {
        case .link(let link, let attempt, let host):
            Form(kind: "link", host: host, link: link, attempt: attempt)
        case .inside(let host): Form(kind: "inside", host: host)
        case .server(let host): Form(kind: "server", host: host)
        }
    }

    init(form: Form) throws {
        switch form.kind {
        case "link":
            self = .link(
                try form.link.needed("link"),
                attempt: try form.attempt.needed("attempt"),
                host: form.host
            )
        case "inside": self = .inside(host: form.host)
        default: self = .server(host: form.host)
        }
    }
}

extension Answer: Recorded {
    struct Form: Codable {
        var addresses: [String]?
        var failure: String?
    }

    var form: Form {
        switch self {
        case .addresses(let addresses): Form(addresses: addresses.map(\.form))
        case .failed(let reason): Form(failure: reason)
        }
    }

    init(form: Form) throws {
        if let addresses = form.addresses {
            self = .addresses(try addresses.map(IPAddress.init(form:)))
        } else {
            self = .failed(try form.failure.needed("failure"))
        }
    }
}

extension SignedLSA: Recorded {
    var form: Data { Data(bytes) }

    init(form: Data) throws {
        let decoded = try Array(form).decode(LSACodec.decode)
        self.init(lsa: decoded.lsa, bytes: Array(form))
    }
}
