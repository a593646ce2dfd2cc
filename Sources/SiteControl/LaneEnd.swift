package import NetworkModel
package import Wire

/// Why a lane ended, as far as somebody acts on it or people are told.
package enum LaneEnd: Hashable, Sendable {
    /// The neighbor proved to be another site than the one that was pinned.
    case unexpectedSite(SiteID)
    /// The neighbor's certificate breaks a rule.
    case certificate(String, isClockSkew: Bool)
    /// The neighbor refused this site's certificate with this TLS alert.
    case alert(code: UInt8, name: String)
    /// The neighbor ended the lane and said why.
    case closedByNeighbor(LaneClosing)
    /// This proxy ended it.
    case closedHere(LaneClosing)
    /// No connection, silence, a broken connection or protocol: what happened, for people.
    case failed(String)

    /// For people, without the endpoint.
    package var explanation: String {
        switch self {
        case .unexpectedSite(let site): "it is site \(site)"
        case .certificate(let text, _): text
        case .alert(_, let name): "the neighbor refused: \(name)"
        case .closedByNeighbor(let closing): "the other side closed the lane: \(closing)"
        case .closedHere(let closing): "closed: \(closing)"
        case .failed(let text): text
        }
    }
}
