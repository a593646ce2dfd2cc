import NetworkModel

/// Keeps the ports for lanes bound on every loop.
///
/// A loop on which a port is taken asks again every 2 s, and only that loop. Confined to loop 0.
final class LanePorts {
    private struct Place: Hashable {
        let purpose: LanePurpose
        let loop: Int
    }

    private unowned let control: ControlPlane
    private var wanted: [LanePurpose: UInt16] = [:]
    private var bound: Set<Place> = []
    /// Why a place is not bound, not to be logged again every time.
    private var errors: [Place: String] = [:]
    private static let retry: Duration = .seconds(2)

    init(control: ControlPlane) { self.control = control }

    /// True when lanes of this purpose are accepted on every loop.
    func isOpen(_ purpose: LanePurpose) -> Bool {
        bound.count { $0.purpose == purpose } == control.core.loops
    }

    /// Listens on `port` of every loop, or stops when it is nil.
    func listen(_ purpose: LanePurpose, on port: UInt16?) {
        guard wanted[purpose] != port else { return }
        wanted[purpose] = port
        for index in control.core.mailboxes.indices {
            let place = Place(purpose: purpose, loop: index)
            if let port {
                bind(place, port)
            } else {
                bound.remove(place)
                errors[place] = nil
                control.core.tellAgent(index) { $0.stopListening(purpose) }
            }
        }
    }

    private func bind(_ place: Place, _ port: UInt16) {
        control.core.tellAgent(place.loop) { agent in
            let failure: String?
            do {
                try agent.listen(place.purpose, port: port)
                failure = nil
            } catch {
                failure = "\(error)"
            }
            agent.core.tellControl { $0.lanePorts.tried(place, port, failure) }
        }
    }

    private func tried(_ place: Place, _ port: UInt16, _ failure: String?) {
        guard wanted[place.purpose] == port else { return }
        if let failure {
            if errors[place] != failure { control.log("cannot listen on port \(port): \(failure)") }
            control.loop.schedule(after: Self.retry) { [weak self] _ in
                guard let self, wanted[place.purpose] == port else { return }
                bind(place, port)
            }
        } else {
            bound.insert(place)
        }
        errors[place] = failure
        control.updateReadiness()
    }
}
