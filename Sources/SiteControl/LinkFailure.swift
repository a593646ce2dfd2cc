import NetworkModel
import ProxyContract
import Wire

/// Why a Link is not connected, in the words of its status: the reason, and what to do about it.
struct LinkFailure: Equatable {
    var reason: LinkSnapshot.Reason
    var message: String

    /// Reads the end of a lane that was dialed for `link` at `endpoint`.
    init(_ end: LaneEnd, link: LinkConfiguration, endpoint: String, site: SiteName) {
        switch end {
        case .unexpectedSite(let site):
            reason = .siteIDMismatch
            let next = link.nextRemoteSite.map { ", spec.nextRemoteSiteID \($0)" } ?? ""
            message =
                "\(endpoint) is site \(site), but spec.remoteSiteID is \(link.remoteSite)\(next);"
                + " correct spec.remoteSiteID or the endpoint"
        case .certificate(let text, let isClockSkew):
            reason = isClockSkew ? .clockSkew : .certificateInvalid
            message = "\(endpoint): \(text)"
        case .alert(let code, let name):
            reason = .certificateInvalid
            message = "\(endpoint) refused this site's certificate: \(name) (alert \(code))"
        case .closedByNeighbor(let closing), .closedHere(let closing):
            self = Self.closed(closing, link: link, endpoint: endpoint, site: site)
        default:
            reason = .unreachable
            message = "\(endpoint): \(end.explanation)"
        }
    }

    init(_ reason: LinkSnapshot.Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    private static func closed(
        _ closing: LaneClosing,
        link: LinkConfiguration,
        endpoint: String,
        site: SiteName
    ) -> LinkFailure {
        switch closing.reason {
        case .notAllowed:
            // Of a token the other side knows more.
            LinkFailure(
                .notAllowed,
                link.token == nil
                    ? notAllowed(site, remote: link.remoteSite) : closing.explanation
            )
        case .siteIDMismatch:
            LinkFailure(.siteIDMismatch, "\(endpoint): \(closing.explanation)")
        case .toSelf:
            LinkFailure(.toSelf, toSelf)
        case .duplicateIdentity:
            LinkFailure(
                .duplicateIdentity,
                "\(endpoint) has this site's own identity \(site.id): give one of the two sites"
                    + " an identity of its own (delete its Secret tieline-site-ca)"
            )
        case .helloContradictsCertificate, .wrongRole:
            LinkFailure(.certificateInvalid, "\(endpoint): \(closing.explanation)")
        default:
            LinkFailure(.unreachable, "\(endpoint): \(closing.explanation)")
        }
    }

    static let toSelf = "spec.remoteSiteID is this site's own: a Link joins two sites"

    /// Gives the line to add to the other Site.
    static func notAllowed(_ site: SiteName, remote: SiteID) -> String {
        let name = site.name.isEmpty ? "" : ", name: \(site.name)"
        return "site \(remote) does not allow this site; add to its Site's spec.allow:"
            + " - {siteID: \(site.id)\(name)}"
    }
}
