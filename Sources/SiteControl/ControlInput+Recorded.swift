import FoundationEssentials
import NetworkModel
import ProxyContract
import Routing
import Wire

/// One object for each input: what kind it is, and what that kind has.
extension ControlInput: Recorded {
    struct Form: Codable {
        var kind: String
        var document: ConfigurationDocument.Form?
        var addresses: [String]?
        var text: String?
        var chain: [Data]?
        var bytes: Data?
        var endpoints: [LocalEndpoint.Form]?
        var candidate: LaneCandidate.Form?
        var lane: UInt64?
        var end: LaneEnd.Form?
        var wasUp: Bool?
        var figures: [String: LaneFigures.Form]?
        var frame: UInt8?
        var neighbor: ProxyID?
        var purpose: String?
        var place: ListenPlace.Form?
        var loop: Int?
        var number: UInt64?
        var reports: [ServiceReport.Form]?
        var shortages: [HostShortage]?
        var question: Question.Form?
        var answer: Answer.Form?

        init(_ kind: String) { self.kind = kind }
    }

    var form: Form {
        var form = Form(kind)
        switch self {
        case .start, .drain, .stopListening, .stopStreams, .stop, .countsChanged, .deadline: break
        case .configuration(let document, let addresses):
            form.document = document.form
            form.addresses = addresses.sorted().map(\.form)
        case .configurationFailed(let text), .disbelieved(let text): form.text = text
        case .credentials(let chain, let key):
            (form.chain, form.bytes) = (chain.map { Data($0) }, Data(key))
        case .endpoints(let name, let list):
            (form.text, form.endpoints) = (name, list.map(\.form))
        case .candidate(let candidate), .dialed(let candidate): form.candidate = candidate.form
        case .welcomed(let id), .bulkLaneWanted(let id): form.lane = id.number
        case .ended(let id, let end, let wasUp, let figures):
            (form.lane, form.end, form.wasUp) = (id.number, end.form, wasUp)
            form.figures = ["\(id.number)": figures.form]
        case .frame(let type, let bytes, let neighbor, let id):
            (form.frame, form.bytes) = (type.rawValue, Data(bytes))
            (form.neighbor, form.lane) = (neighbor, id.number)
        case .lanePort(let port, let loop, let failure):
            (form.purpose, form.loop, form.text) = (port.purpose.rawValue, loop, failure)
            form.number = UInt64(port.port)
        case .clientPlace(let place, let loop, let failure):
            (form.place, form.loop, form.text) = (place.form, loop, failure)
        case .viewSeen(let number): form.number = number
        case .services(let reports): form.reports = reports.map(\.form)
        case .measured(let figures, let shortages):
            form.figures = Dictionary(
                uniqueKeysWithValues: figures.map { ("\($0.number)", $1.form) }
            )
            form.shortages = shortages
        case .resolved(let question, let answer):
            (form.question, form.answer) = (question.form, answer.form)
        case .signed(let signed), .verified(let signed): form.bytes = signed.form
        }
        return form
    }

    private var kind: String {
        switch self {
        case .start: "start"
        case .configuration: "configuration"
        case .configurationFailed: "configurationFailed"
        case .credentials: "credentials"
        case .endpoints: "endpoints"
        case .drain: "drain"
        case .stopListening: "stopListening"
        case .stopStreams: "stopStreams"
        case .stop: "stop"
        case .candidate: "candidate"
        case .welcomed: "welcomed"
        case .dialed: "dialed"
        case .bulkLaneWanted: "bulkLaneWanted"
        case .ended: "ended"
        case .frame: "frame"
        case .lanePort: "lanePort"
        case .clientPlace: "clientPlace"
        case .countsChanged: "countsChanged"
        case .viewSeen: "viewSeen"
        case .services: "services"
        case .measured: "measured"
        case .resolved: "resolved"
        case .signed: "signed"
        case .verified: "verified"
        case .disbelieved: "disbelieved"
        case .deadline: "deadline"
        }
    }

    init(form: Form) throws {
        switch form.kind {
        case "start": self = .start
        case "drain": self = .drain
        case "stopListening": self = .stopListening
        case "stopStreams": self = .stopStreams
        case "stop": self = .stop
        case "countsChanged": self = .countsChanged
        case "deadline": self = .deadline
        case "configuration", "configurationFailed", "credentials", "endpoints":
            self = try Self(order: form)
        case "candidate", "dialed", "welcomed", "bulkLaneWanted", "ended", "frame":
            self = try Self(lane: form)
        default: self = try Self(answer: form)
        }
    }

    private init(order form: Form) throws {
        switch form.kind {
        case "configuration":
            self = .configuration(
                try ConfigurationDocument(form: form.document.needed("document")),
                localAddresses: Set(try (form.addresses ?? []).map(IPAddress.init(form:)))
            )
        case "configurationFailed": self = .configurationFailed(try form.text.needed("text"))
        case "credentials":
            self = .credentials(
                certificateChain: try form.chain.needed("chain").map { Array($0) },
                agreementKey: Array(try form.bytes.needed("key"))
            )
        default:
            self = .endpoints(
                try form.text.needed("name"),
                try (form.endpoints ?? []).map(LocalEndpoint.init(form:))
            )
        }
    }

    private init(lane form: Form) throws {
        let id = LaneID(number: form.lane ?? 0)
        switch form.kind {
        case "candidate":
            self = .candidate(try LaneCandidate(form: form.candidate.needed("candidate")))
        case "dialed": self = .dialed(try LaneCandidate(form: form.candidate.needed("candidate")))
        case "welcomed": self = .welcomed(id)
        case "bulkLaneWanted": self = .bulkLaneWanted(id)
        case "ended":
            self = .ended(
                id,
                try LaneEnd(form: form.end.needed("end")),
                wasUp: try form.wasUp.needed("wasUp"),
                LaneFigures(form: try (form.figures?.values.first).needed("figures"))
            )
        default:
            self = .frame(
                try form.frame.flatMap { FrameType(rawValue: $0) }.needed("type of frame"),
                Array(try form.bytes.needed("payload")),
                from: try form.neighbor.needed("neighbor"),
                on: id
            )
        }
    }

    private init(answer form: Form) throws {
        let loop = form.loop ?? 0
        switch form.kind {
        case "lanePort":
            let purpose = try form.purpose.flatMap { LanePurpose(rawValue: $0) }.needed("purpose")
            let port = UInt16(truncatingIfNeeded: try form.number.needed("port"))
            self = .lanePort(
                LanePort(purpose: purpose, port: port),
                loop: loop,
                failure: form.text
            )
        case "clientPlace":
            let place = try ListenPlace(form: form.place.needed("place"))
            self = .clientPlace(place, loop: loop, failure: form.text)
        case "viewSeen": self = .viewSeen(try form.number.needed("number"))
        case "services":
            self = .services(try (form.reports ?? []).map(ServiceReport.init(form:)))
        case "measured": self = try Self(measured: form)
        case "resolved":
            self = .resolved(
                try Question(form: form.question.needed("question")),
                try Answer(form: form.answer.needed("answer"))
            )
        case "signed": self = .signed(try SignedLSA(form: form.bytes.needed("advertisement")))
        case "verified": self = .verified(try SignedLSA(form: form.bytes.needed("advertisement")))
        case "disbelieved": self = .disbelieved(try form.text.needed("text"))
        default: throw RecordingProblem("no input is of the kind \(form.kind)")
        }
    }

    private init(measured form: Form) throws {
        var figures: [LaneID: LaneFigures] = [:]
        for (number, value) in form.figures ?? [:] {
            figures[LaneID(number: try UInt64(number).needed("lane"))] = LaneFigures(form: value)
        }
        self = .measured(
            figures,
            shortages: form.shortages ?? []
        )
    }
}
