import NetworkModel

/// The ports on which lanes are accepted, and on which loops they are open.
///
/// Confined to loop 0.
final class LanePorts {
    private unowned let control: ControlPlane
    private var wanted: [LanePurpose: UInt16] = [:]
    private var openLoops: [LanePort: Set<Int>] = [:]
    /// Why a port is not open: the loops say the same, it is logged once.
    private var failures: [LanePort: String] = [:]

    init(control: ControlPlane) { self.control = control }

    /// True when lanes of this purpose are accepted on every loop.
    func isOpen(_ purpose: LanePurpose) -> Bool {
        guard let port = wanted[purpose] else { return false }
        return openLoops[LanePort(purpose: purpose, port: port)]?.count == control.core.loops
    }

    /// Listens on `port` of every loop, or stops when it is nil.
    func listen(_ purpose: LanePurpose, on port: UInt16?) {
        guard wanted[purpose] != port else { return }
        wanted[purpose] = port
        let ports = wanted.map { LanePort(purpose: $0.key, port: $0.value) }
        openLoops = openLoops.filter { ports.contains($0.key) }
        failures = failures.filter { ports.contains($0.key) }
        control.core.tellAgents { $0.setLanePorts(ports) }
    }

    /// A loop could not open a port, or has it open now.
    func tried(_ port: LanePort, onLoop index: Int, _ failure: String?) {
        guard wanted[port.purpose] == port.port else { return }
        if let failure, failures[port] != failure {
            control.log("cannot listen on port \(port.port): \(failure)")
        }
        failures[port] = failure
        if failure == nil { openLoops[port, default: []].insert(index) }
        control.updateReadiness()
    }
}
