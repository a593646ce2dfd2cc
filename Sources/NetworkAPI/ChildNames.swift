import KubernetesAPI

/// The names of the objects that the controller makes for a site.
package enum ChildName {
    package static let authoritySecret = "tieline-site-ca"
    package static let configurationSecret = "tieline-proxy"
    /// The Secret of a part of a large configuration: `tieline-proxy-part-00` to `-63`.
    package static func configurationPart(_ index: Int) -> String {
        "\(configurationSecret)-part-\(index < 10 ? "0" : "")\(index)"
    }
    package static let credentialsSecret = "tieline-proxy-credentials"
    package static let sidecarSecret = "tieline-sidecar"
    /// What the site keeps of the tokens that it issued.
    package static let grantsSecret = "tieline-grants"
    /// A name for a brought CA that the controller may read wherever there is a Site.
    package static let broughtSecret = "tieline-identity"

    /// Whether the controller may read Secrets of that name wherever there is a Site.
    package static func isReadable(_ name: String) -> Bool {
        name == broughtSecret || isSecret(name)
    }

    /// Whether the controller makes Secrets of that name.
    static func isSecret(_ name: String) -> Bool {
        name == authoritySecret || name == sidecarSecret || name == grantsSecret
            || name.hasPrefix(configurationSecret)
    }

    /// The Deployment, its ServiceAccount, and the headless core Service of the gateways.
    package static let proxy = "tieline-proxy"
    /// The core Service through which other sites link to this one.
    package static let linkService = "tieline-link"

    /// The headless core Service whose EndpointSlices say which pods of a Service's selector are ready:
    /// `NAME-tl-HASH8`, at most 63 characters.
    ///
    /// The hash is over the whole name; so two long names that are cut to the same one stay different.
    package static func endpointsService(of service: String) -> String {
        let suffix = "-tl-" + StableHash.hex32(service)
        var stem = service.replacing(".", with: "-")
        // The name of a core Service begins with a letter.
        if stem.first.map({ !$0.isLetter }) ?? true { stem = "s" + stem }
        return stem.prefix(63 - suffix.utf8.count) + suffix
    }

    /// Whether a core Service's name is of the form that `endpointsService` makes.
    package static func isEndpointsService(_ name: String) -> Bool {
        let tail = name.utf8.suffix(12)
        return tail.count == 12 && tail.starts(with: "-tl-".utf8)
    }
}
