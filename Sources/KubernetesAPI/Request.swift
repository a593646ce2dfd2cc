package import FoundationEssentials

/// One request to the API server, as a value; nothing is sent here.
package struct Request: Equatable, Sendable {
    package enum Method: String, Sendable {
        case get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE"
    }

    package var method: Method
    /// Begins with a slash, is percent encoded and has no query.
    package var path: String
    package var query: [QueryItem] = []
    package var contentType: String?
    /// In which form the answer is wanted.
    package var accept = "application/json"
    package var body: Data?

    package init(method: Method, path: String) {
        self.method = method
        self.path = path
    }

    package struct QueryItem: Equatable, Sendable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The path with its query.
    package var target: String {
        guard !query.isEmpty else { return path }
        let pairs = query.map { "\(percentEncoded($0.name))=\(percentEncoded($0.value))" }
        return path + "?" + pairs.joined(separator: "&")
    }

    mutating func add(_ name: String, _ value: String?) {
        guard let value else { return }
        query.append(QueryItem(name: name, value: value))
    }
}

/// Which objects of a kind are meant.
package struct Scope: Hashable, Sendable {
    /// Nil means all namespaces.
    package var namespace: String?
    /// Such as `app.kubernetes.io/managed-by=tieline`.
    package var labelSelector: String?
    /// Such as `metadata.name=tieline-proxy`.
    package var fieldSelector: String?

    package init(
        namespace: String? = nil,
        labelSelector: String? = nil,
        fieldSelector: String? = nil
    ) {
        self.namespace = namespace
        self.labelSelector = labelSelector
        self.fieldSelector = fieldSelector
    }

    /// One object by its name; what a role with `resourceNames` may list and watch.
    package static func object(_ key: ObjectKey) -> Scope {
        Scope(namespace: key.namespace, fieldSelector: "metadata.name=\(key.name)")
    }
}

/// How a list is cut and how fresh it must be.
package struct ListOptions: Equatable, Sendable {
    /// Objects in one page; nil for all.
    package var limit: Int?
    /// The token of the page before.
    package var continueToken: String?
    /// Nil means the newest state, `0` any state the server has at hand.
    package var resourceVersion: String?

    package init(limit: Int? = nil, continueToken: String? = nil, resourceVersion: String? = nil) {
        self.limit = limit
        self.continueToken = continueToken
        self.resourceVersion = resourceVersion
    }
}

/// Where a watch begins and how long it lasts.
package struct WatchOptions: Equatable, Sendable {
    package var resourceVersion: String?
    /// The server ends the watch after this many seconds.
    package var timeoutSeconds: Int?
    /// Begin with the present state as added events, closed by a marked bookmark.
    package var sendsInitialEvents: Bool

    package init(
        resourceVersion: String? = nil,
        timeoutSeconds: Int? = nil,
        sendsInitialEvents: Bool = false
    ) {
        self.resourceVersion = resourceVersion
        self.timeoutSeconds = timeoutSeconds
        self.sendsInitialEvents = sendsInitialEvents
    }
}

/// What must hold for a delete to happen.
package struct Preconditions: Codable, Equatable, Sendable {
    package var uid: String?
    package var resourceVersion: String?

    package init(uid: String? = nil, resourceVersion: String? = nil) {
        self.uid = uid
        self.resourceVersion = resourceVersion
    }
}

/// What a delete does beyond removing the object.
package struct DeleteOptions: Equatable, Sendable {
    package enum Propagation: String, Codable, Sendable {
        case foreground = "Foreground"
        case background = "Background"
        case orphan = "Orphan"
    }

    package var preconditions: Preconditions?
    package var propagation: Propagation?
    /// Zero removes a pod at once, without waiting for its node.
    package var gracePeriodSeconds: Int64?

    package init(
        preconditions: Preconditions? = nil,
        propagation: Propagation? = nil,
        gracePeriodSeconds: Int64? = nil
    ) {
        self.preconditions = preconditions
        self.propagation = propagation
        self.gracePeriodSeconds = gracePeriodSeconds
    }
}

/// A change in one of the forms that the server understands.
package enum Patch: Equatable, Sendable {
    /// RFC 7386: members replace members, null removes.
    case merge(JSONValue)
    /// RFC 6902: a list of operations; `test` makes it conditional.
    case json(JSONValue)
    /// Built-in kinds only: lists with a key are merged by it.
    case strategicMerge(JSONValue)

    var contentType: String {
        switch self {
        case .merge: "application/merge-patch+json"
        case .json: "application/json-patch+json"
        case .strategicMerge: "application/strategic-merge-patch+json"
        }
    }

    var document: JSONValue {
        switch self {
        case .merge(let document), .json(let document), .strategicMerge(let document): document
        }
    }
}
