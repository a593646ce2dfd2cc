import NetworkModel
import SiteControl

/// The ports on which lanes are accepted.
///
/// Confined to loop 0.
final class LanePorts {
    private unowned let control: ControlPlane
    private var wanted: [LanePurpose: UInt16] = [:]
    private var reports = ListenerReports<LanePort>()

    init(control: ControlPlane) { self.control = control }

    /// True when lanes of this purpose are accepted on every loop.
    func isOpen(_ purpose: LanePurpose) -> Bool {
        guard let port = wanted[purpose] else { return false }
        return reports.openCount(LanePort(purpose: purpose, port: port)) == control.core.loops
    }

    /// Why lanes of this purpose are not accepted on every loop, though they should be; nil when they are.
    func failure(_ purpose: LanePurpose) -> String? {
        guard let port = wanted[purpose] else { return nil }
        return reports.failure { $0.purpose == purpose }.map { "port \(port): \($0)" }
    }

    /// Listens on `port` of every loop, or stops when it is nil.
    func listen(_ purpose: LanePurpose, on port: UInt16?) {
        guard wanted[purpose] != port else { return }
        wanted[purpose] = port
        let ports = wanted.map { LanePort(purpose: $0.key, port: $0.value) }
        reports.keep(ports)
        control.core.tellAgents { $0.setLanePorts(ports) }
    }

    /// A loop could not open a port, or has it open now.
    func tried(_ port: LanePort, onLoop index: Int, _ failure: String?) {
        guard wanted[port.purpose] == port.port else { return }
        if let news = reports.take(port, loop: index, failure) {
            control.log("cannot listen on port \(port.port): \(news)")
        }
        control.updateReadiness()
        control.snapshotChanged()
    }
}
