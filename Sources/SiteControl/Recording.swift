package import FoundationEssentials
package import NetworkModel
import ProxyContract

/// What the control of a proxy was fed, as lines of JSON: the first says whose it is, each other one is an input with its
/// moment and a digest of what the control said.
///
/// A fresh control says the same, so a fault can be looked at again.
///
/// Private keys are no inputs, and the key of snapshots is left out; addresses, names and certificates are there.
package enum Recording {
    private struct Header: Codable {
        var version: Int
        var proxy: ProxyID
        /// Left out when there are none.
        var predecessors: [ProxyID]?
        var loops: Int
        var bind: String?
        var linkPort: UInt16
        var internalPort: UInt16?
        var admin: Endpoint.Form?
        var isInCluster: Bool
        var gateways: HostAndPort?
        var shares: LaneShares
        var seed: UInt64
        /// Nil for a gateway.
        var listeners: [Listener]?
    }

    private struct Listener: Codable {
        var service: ServicePort
        var endpoint: Endpoint.Form
    }

    private struct Line: Codable {
        /// Nanoseconds of the monotonic clock.
        var at: UInt64
        @WallTime var wall: Timestamp
        var input: ControlInput.Form
        /// The digest of what the control said.
        var says: UInt64
    }

    /// One input with its moment.
    package struct Step: Equatable, Sendable {
        package let input: ControlInput
        package let at: Instant
        package let wall: Timestamp
        /// The digest of what the control said.
        package let says: UInt64
    }

    private static let version = 1

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    /// The first line; `listeners`: those of a sidecar, nil for a gateway.
    package static func header(
        _ options: ControlOptions,
        listeners: [SidecarListener]?
    ) throws -> Data {
        let header = Header(
            version: version,
            proxy: options.own,
            predecessors: options.predecessors.isEmpty ? nil : options.predecessors,
            loops: options.loops,
            bind: options.bind?.form,
            linkPort: options.linkPort,
            internalPort: options.internalPort,
            admin: options.admin?.form,
            isInCluster: options.isInCluster,
            gateways: options.gateways,
            shares: options.shares,
            seed: options.seed,
            listeners: listeners?.map {
                Listener(service: $0.service, endpoint: $0.endpoint.form)
            }
        )
        return try encoder.encode(header)
    }

    /// The line of one input.
    package static func line(
        _ input: ControlInput,
        at now: Instant,
        wall: Timestamp,
        _ outputs: [ControlOutput]
    ) throws -> Data {
        let line = Line(
            at: now.nanoseconds,
            wall: wall,
            input: input.form,
            says: digest(outputs)
        )
        return try encoder.encode(line)
    }

    /// Tells outputs apart, in order; the elements of sets and dictionaries in them have none.
    package static func digest(_ outputs: [ControlOutput]) -> UInt64 {
        outputs.reduce(0) { digest, output in
            let words = "\(output)".utf8.split { separators.contains($0) }
            let sum = words.reduce(UInt64(0)) { $0 &+ hash($1) }
            return (digest &* 31) &+ sum
        }
    }

    private static let separators = Set("[](),: ".utf8)

    private static func hash(_ word: some Sequence<UInt8>) -> UInt64 {
        word.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// A fresh control, and what it is to be fed; a last line that is not whole is left out.
    package static func read(_ bytes: Data) throws -> (control: any ProxyControl, steps: [Step]) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
        let first = try lines.first.needed("first line")
        let header = try JSONDecoder().decode(Header.self, from: Data(first))
        guard header.version == version else {
            throw RecordingProblem("a recording of version \(header.version), not \(version)")
        }
        let isWhole = bytes.last == UInt8(ascii: "\n")
        let steps = try lines.dropFirst().dropLast(isWhole ? 0 : 1).map { line in
            let line = try JSONDecoder().decode(Line.self, from: Data(line))
            return Step(
                input: try ControlInput(form: line.input),
                at: Instant(nanoseconds: line.at),
                wall: line.wall,
                says: line.says
            )
        }
        return (try control(header), steps)
    }

    /// Feeds a fresh control what was recorded; where it says something else than was said, or nil.
    package static func firstDifference(in bytes: Data) throws -> String? {
        var (control, steps) = try read(bytes)
        for (index, step) in steps.enumerated() {
            let outputs = control.handle(step.input, at: step.at, wall: step.wall)
            if digest(outputs) != step.says {
                return "input \(index + 1), \(step.input): now it says \(outputs)"
            }
        }
        return nil
    }

    private static func control(_ header: Header) throws -> any ProxyControl {
        let options = ControlOptions(
            own: header.proxy,
            predecessors: header.predecessors ?? [],
            loops: header.loops,
            bind: try header.bind.map(IPAddress.init(form:)),
            linkPort: header.linkPort,
            internalPort: header.internalPort,
            admin: try header.admin.map(Endpoint.init(form:)),
            isInCluster: header.isInCluster,
            gateways: header.gateways,
            shares: header.shares,
            seed: header.seed
        )
        guard let listeners = header.listeners else { return GatewayControl(options) }
        return SidecarControl(
            options,
            listeners: try listeners.map {
                SidecarListener(service: $0.service, endpoint: try Endpoint(form: $0.endpoint))
            }
        )
    }
}
