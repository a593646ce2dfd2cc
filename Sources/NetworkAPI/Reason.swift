/// The types of the conditions in a status.
package enum ConditionType: String, Hashable, Sendable, CaseIterable {
    /// The summary; always there once the object was observed.
    case ready = "Ready"
    /// The spec can be used.
    case accepted = "Accepted"
    /// Site, Service: what it asks for has been made.
    case programmed = "Programmed"
    /// Site: others can link to the advertised endpoints.
    case reachable = "Reachable"
    /// Link: established with the pinned site.
    case connected = "Connected"
    /// Service: at least one usable target.
    case hasTargets = "HasTargets"
    /// Site: all that concerns it can be read; present only while that is not so.
    case informed = "Informed"
    /// Site: no certificate ends soon; present only while one does.
    case certificatesCurrent = "CertificatesCurrent"
    /// Present only while work is under way.
    case reconciling = "Reconciling"
    /// Present only while the user has to change something.
    case stalled = "Stalled"
}

/// Why a condition is as it is.
package enum Reason: String, Hashable, Sendable, CaseIterable {
    case pending = "Pending"
    case ready = "Ready"
    case accepted = "Accepted"
    case programmed = "Programmed"
    case progressing = "Progressing"

    // Accepted=False
    /// Another, older object claims the same thing; the message names it.
    case conflict = "Conflict"
    /// A rule that the schema cannot express is broken; the message says what to change.
    case invalid = "Invalid"
    /// The namespace has no Site (any more).
    case noSite = "NoSite"
    /// A name in the spec that this Site does not bind.
    case unknownSite = "UnknownSite"

    // Programmed=False
    case portsExhausted = "PortsExhausted"
    /// What older Services take leaves no room in the site's configuration.
    case configurationTooLarge = "ConfigurationTooLarge"
    case listenFailed = "ListenFailed"
    case proxiesNotReady = "ProxiesNotReady"
    /// Gateways serve and do not tell what they see.
    case proxiesSilent = "ProxiesSilent"
    /// The key of the site's identity is gone or broken; the message says what to do.
    case identityLost = "IdentityLost"
    /// The Secret of an identity that is brought is not there, or cannot be read.
    case identityMissing = "IdentityMissing"
    /// The key that is there is another site's, and nobody asked for that change.
    case identityMismatch = "IdentityMismatch"
    /// The API server refused what was to be made; the message quotes it.
    case applyFailed = "ApplyFailed"

    // Informed
    /// Something cannot be read, of which what was read last holds; the message says what, since when and what to do.
    case cannotRead = "CannotRead"

    // CertificatesCurrent
    case certificateExpiring = "CertificateExpiring"

    // Reachable
    case reachable = "Reachable"
    /// The Site has no `linkAccess`: it only dials out.
    case dialsOnly = "DialsOnly"
    /// The address is not assigned yet.
    case addressPending = "AddressPending"

    // Connected
    case connecting = "Connecting"
    case connected = "Connected"
    case siteIDMismatch = "SiteIDMismatch"
    case notAllowed = "NotAllowed"
    case unreachable = "Unreachable"
    case certificateInvalid = "CertificateInvalid"
    case clockSkew = "ClockSkew"
    case toSelf = "ToSelf"
    case duplicateIdentity = "DuplicateIdentity"

    // HasTargets
    case targetsUsable = "TargetsUsable"
    case noTargets = "NoTargets"
    case noUsableTargets = "NoUsableTargets"
    /// A name in `hosts` has no address, and nothing else is usable.
    case hostUnresolved = "HostUnresolved"
    /// A host is the site itself, or no address of a server.
    case hostRefused = "HostRefused"
    /// Connections to a host come back.
    case leadsToItself = "LeadsToItself"
}

/// The reasons of the Events that are written, one per transition.
package enum EventReason: String, Hashable, Sendable, CaseIterable {
    case linkConnected = "LinkConnected"
    case linkLost = "LinkLost"
    case targetsFound = "TargetsFound"
    case targetsLost = "TargetsLost"
    case failedOver = "FailedOver"
    case failedBack = "FailedBack"
    case notAllowed = "NotAllowed"
    case certificateRotated = "CertificateRotated"
    case conflict = "Conflict"
    case identityLost = "IdentityLost"
    case identityPrepared = "IdentityPrepared"
    case identityChanged = "IdentityChanged"
    case identityMissing = "IdentityMissing"
    case identityMismatch = "IdentityMismatch"
    case certificateInvalid = "CertificateInvalid"
    case certificateExpiring = "CertificateExpiring"
    case notInjected = "NotInjected"
    case siteJoined = "SiteJoined"
}
