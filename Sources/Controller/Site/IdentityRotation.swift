import Certificates
import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import StatusSummaries

/// What the user wants of a site's identities.
enum IdentityWish: Equatable, Sendable {
    /// Another one beside the one in use.
    case prepare
    /// This one: it comes true once, however long the wish stays in Git.
    case use(SiteID)
    /// No other one than that in use.
    case forget
    case unreadable(String)

    init(_ text: String) {
        switch text {
        case "prepare": self = .prepare
        case "none": self = .forget
        default: self = SiteID(text).map { .use($0) } ?? .unreadable(text)
        }
    }
}

extension ObjectMeta {
    /// Nil: everything stays as it is.
    var identityWish: IdentityWish? {
        annotations[Names.nextIdentityAnnotation].map { IdentityWish($0) }
    }
}

/// The next step of a planned change of a site's identity: a change of the one Secret that holds all its keys.
///
/// The key in use is under `tls`, the prepared one under `next`, the one from before under `previous`. Going over
/// exchanges them in one write, so that there is no state in between; credentials, configuration and gateways follow from
/// `tls` alone. A key is given up only when the wish says `none`, or when a third one takes its place.
struct IdentityRotation: Sendable {
    /// What is to be written (nil: taken out); empty when all is as wished.
    private(set) var changes: [String: Data?] = [:]
    /// Why the wish cannot come true.
    private(set) var problem: String?

    private enum Place: String {
        case current = "tls"
        case next, previous

        var keys: (certificate: String, key: String) { ("\(rawValue).crt", "\(rawValue).key") }
    }

    /// Of an identity that is brought: nothing is written into its Secret, and another one is another Secret's.
    init(wish: IdentityWish?, brought current: SiteAuthority, in name: String) {
        switch wish {
        case nil, .forget, .use(current.siteID): break
        case .prepare:
            problem =
                "the annotation \(Names.nextIdentityAnnotation) is \"prepare\", but spec.identity names the Secret "
                + "\(name): prepare another Secret and name it there"
        case .use(let wanted):
            problem =
                "the annotation \(Names.nextIdentityAnnotation) names \(wanted), but the Secret \(name), which "
                + "spec.identity names, holds the key of \(current.siteID): name the Secret of the other one there"
        case .unreadable(let text): problem = Self.unreadable(text)
        }
    }

    init(
        wish: IdentityWish?,
        secret: Core.Secret,
        current: SiteAuthority,
        now: Date
    ) throws {
        switch wish {
        case nil: break
        case .prepare:
            guard Self.authority(.next, secret, now) == nil else { return }
            let next = try SiteAuthority.make(now: now)
            put(Data(next.certificatePEM.utf8), Data(next.keyPEM.utf8), at: .next)
        case .use(current.siteID): break
        case .use(let wanted):
            guard
                let place = [Place.next, .previous].first(where: {
                    Self.authority($0, secret, now)?.siteID == wanted
                })
            else {
                problem = Self.unknown(wanted, current, Self.others(secret, now: now))
                return
            }
            if place == .next { remove(.next) }
            move(.current, to: .previous, in: secret)
            move(place, to: .current, in: secret)
        case .forget:
            for place in [Place.next, .previous] where Self.holds(place, secret) { remove(place) }
        case .unreadable(let text): problem = Self.unreadable(text)
        }
    }

    private static func unreadable(_ text: String) -> String {
        "the annotation \(Names.nextIdentityAnnotation) is \"\(text)\": it must be \"prepare\", \"none\", or the "
            + "SiteID to be used"
    }

    /// The identities beside the one in use.
    static func others(_ secret: Core.Secret, now: Date) -> OtherIdentities {
        OtherIdentities(
            next: authority(.next, secret, now)?.siteID,
            previous: authority(.previous, secret, now)?.siteID
        )
    }

    private mutating func put(_ certificate: Data?, _ key: Data?, at place: Place) {
        changes[place.keys.certificate] = .some(certificate)
        changes[place.keys.key] = .some(key)
    }

    private mutating func remove(_ place: Place) { put(nil, nil, at: place) }

    private mutating func move(_ place: Place, to other: Place, in secret: Core.Secret) {
        put(secret.data[place.keys.certificate], secret.data[place.keys.key], at: other)
    }

    private static func holds(_ place: Place, _ secret: Core.Secret) -> Bool {
        secret.data[place.keys.certificate] != nil || secret.data[place.keys.key] != nil
    }

    /// Nil when there is none, or none that others would accept.
    private static func authority(
        _ place: Place,
        _ secret: Core.Secret,
        _ now: Date
    ) -> SiteAuthority? {
        guard let certificate = secret.data[place.keys.certificate],
            let key = secret.data[place.keys.key]
        else { return nil }
        return try? SiteAuthority(
            certificatePEM: String(decoding: certificate, as: UTF8.self),
            keyPEM: String(decoding: key, as: UTF8.self),
            now: now
        )
    }

    private static func unknown(
        _ wanted: SiteID,
        _ current: SiteAuthority,
        _ others: OtherIdentities
    ) -> String {
        let known =
            [
                "\(current.siteID) (in use)", others.next.map { "\($0) (prepared)" },
                others.previous.map { "\($0) (from before)" },
            ]
            .compactMap(\.self)
        return
            "the annotation \(Names.nextIdentityAnnotation) names \(wanted), of which the Secret "
            + "\(ChildName.authoritySecret) has no key: it has \(known.joined(separator: ", ")); name one of them, or "
            + "\"prepare\" for another one"
    }
}
