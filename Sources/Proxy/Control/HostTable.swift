import NetworkModel
import SiteControl

/// The addresses of servers that are given by name; confined to loop 0.
final class HostTable {
    private unowned let control: ControlPlane
    private var lookUps = NameLookUps()
    private var timer: TimerID?

    init(control: ControlPlane) { self.control = control }

    /// The servers behind a host, each with its addresses, the preferred one first.
    func servers(_ host: String) -> [[IPAddress]] {
        if let address = IPAddress(host) { return [[address]] }
        return NamedServers.group(lookUps.addresses(of: host))
    }

    /// Why a name does not resolve now, and since when.
    func failure(of host: String) -> NameLookUps.Failure? { lookUps.failure(of: host) }

    func watch(_ names: Set<String>) {
        lookUps.watch(names.filter { IPAddress($0) == nil }, at: EventLoop.clock())
        ask()
    }

    /// A server of one of these names did not answer.
    func doubt(_ names: Set<String>) {
        lookUps.doubt(names, at: EventLoop.clock())
        ask()
    }

    private func ask() {
        for name in lookUps.takeDue(at: EventLoop.clock()) {
            control.resolver.resolve(name, replyTo: control.loop.mailbox) { loop, result in
                loop.local(ControlPlane.self)?.hostResolved(name, Answer(result))
            }
        }
        if let timer { control.loop.cancel(timer) }
        timer = lookUps.next.map { next in
            control.loop.schedule(at: next) { [weak self] _ in
                self?.timer = nil
                self?.ask()
            }
        }
    }

    /// True when the name's addresses are others than before.
    func resolved(_ name: String, _ answer: Answer) -> Bool {
        let before = lookUps.failure(of: name)
        let isChanged = lookUps.answer(name, answer, at: EventLoop.clock())
        let failure = lookUps.failure(of: name)
        if let failure, before?.reason != failure.reason {
            control.log("the host \(name) does not resolve: \(failure.reason)")
        } else if before != nil, failure == nil {
            control.log("the host \(name) resolves again")
        }
        if before != failure {
            control.shown.markAll()
            control.snapshotChanged()
        }
        ask()
        return isChanged
    }
}
