import NetworkModel
import ProxyContract

/// The addresses of servers that are given by name.
struct ServerNames: Sendable {
    private var lookUps = NameLookUps()
    /// When a name has to be looked up; nil while there is none.
    private(set) var nextDeadline: Instant?

    /// The servers behind a host, each with its addresses, the preferred one first.
    func servers(_ host: String) -> [[IPAddress]] {
        if let address = IPAddress(host) { return [[address]] }
        return NamedServers.group(lookUps.addresses(of: host))
    }

    /// Why a name does not resolve now, and since when.
    func failure(of host: String) -> NameLookUps.Failure? { lookUps.failure(of: host) }

    /// Follows exactly these names.
    mutating func watch(_ names: Set<String>, _ turn: inout Turn) {
        lookUps.watch(names.filter { IPAddress($0) == nil }, at: turn.now)
        ask(&turn)
    }

    /// A server of one of these names did not answer.
    mutating func doubt(_ names: Set<String>, _ turn: inout Turn) {
        lookUps.doubt(names, at: turn.now)
        ask(&turn)
    }

    mutating func ask(_ turn: inout Turn) {
        for name in lookUps.takeDue(at: turn.now) {
            turn.outputs.append(.resolve(.server(host: name)))
        }
        nextDeadline = lookUps.next
    }

    /// What the answer changed: the addresses, and what is wrong with the name.
    mutating func resolved(
        _ name: String,
        _ answer: Answer,
        _ turn: inout Turn
    ) -> (addresses: Bool, failure: Bool) {
        let before = lookUps.failure(of: name)
        let isChanged = lookUps.answer(name, answer, at: turn.now)
        let failure = lookUps.failure(of: name)
        if let failure, before?.reason != failure.reason {
            turn.log("the host \(name) does not resolve: \(failure.reason)")
        } else if before != nil, failure == nil {
            turn.log("the host \(name) resolves again")
        }
        ask(&turn)
        return (isChanged, before != failure)
    }
}
