import SiteControl
import TLS

extension LaneCloseReason {
    /// The same as far as the control acts on it, in words for people.
    var end: LaneEnd {
        switch self {
        case .connect(let error), .connection(let error): .failed("\(error)")
        case .handshakeTimeout: .failed("the TLS handshake was not done within 5 s")
        case .handshake(.certificate(let error)):
            .certificate("\(error)", isClockSkew: error.isClockSkew)
        case .handshake(.alert(let code, let name)): .alert(code: code, name: name)
        case .handshake(let error): .failed("\(error)")
        case .unexpectedSite(let identity): .unexpectedSite(identity.site)
        case .silent(let duration): .failed("nothing was heard for \(duration)")
        case .unanswered(let duration): .failed("heartbeats were not answered for \(duration)")
        case .ended: .failed("the other side ended the connection")
        case .closedByNeighbor(let closing): .closedByNeighbor(closing)
        case .closedHere(let closing): .closedHere(closing)
        case .violation(let text): .failed("broken protocol: \(text)")
        case .overflow: .failed("the other side reads too slowly")
        }
    }
}

extension Answer {
    init(_ result: Resolver.Answer) {
        switch result {
        case .success(let addresses): self = .addresses(addresses)
        case .failure(let error): self = .failed(error.reason)
        }
    }
}
