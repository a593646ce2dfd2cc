import NetworkModel

/// The ports on which lanes are accepted, and what the loops say of them.
struct LanePorts: Sendable {
    private let loops: Int
    private var wanted: [LanePurpose: UInt16] = [:]
    private var reports = ListenerReports<LanePort>()

    init(loops: Int) { self.loops = loops }

    /// True when lanes of this purpose are accepted on every loop.
    func isOpen(_ purpose: LanePurpose) -> Bool {
        guard let port = wanted[purpose] else { return false }
        return reports.openCount(LanePort(purpose: purpose, port: port)) == loops
    }

    /// Why lanes of this purpose are not accepted on every loop, though they should be; nil when they are.
    func failure(_ purpose: LanePurpose) -> String? {
        guard let port = wanted[purpose] else { return nil }
        return reports.failure { $0.purpose == purpose }.map { "port \(port): \($0)" }
    }

    /// Listens on `port` of every loop, or stops when it is nil.
    mutating func listen(_ purpose: LanePurpose, on port: UInt16?, _ turn: inout Turn) {
        guard wanted[purpose] != port else { return }
        wanted[purpose] = port
        let ports = [LanePurpose.link, .inside].compactMap { purpose in
            wanted[purpose].map { LanePort(purpose: purpose, port: $0) }
        }
        reports.keep(ports)
        turn.outputs.append(.listenForLanes(ports))
    }

    /// A loop could not open a port, or has it open now; false for one that is not wanted.
    mutating func tried(
        _ port: LanePort,
        loop: Int,
        _ failure: String?,
        _ turn: inout Turn
    ) -> Bool {
        guard wanted[port.purpose] == port.port else { return false }
        if let news = reports.take(port, loop: loop, failure) {
            turn.log("cannot listen on port \(port.port): \(news)")
        }
        return true
    }
}
