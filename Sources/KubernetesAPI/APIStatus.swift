/// The `Status` document with which the API server answers anything but success.
package struct APIStatus: Schema, Error {
    /// `Success` or `Failure`.
    package var status: String?
    package var message: String?
    package var reason: String?
    /// The HTTP status; filled in from the response when the document lacks it.
    package var code: Int?
    package var details: Details?

    package init() {}

    package init(code: Int, reason: String? = nil, message: String? = nil) {
        self.status = "Failure"
        self.code = code
        self.reason = reason
        self.message = message
    }

    package struct Details: Schema {
        package var name: String?
        package var group: String?
        package var kind: String?
        package var uid: String?
        package var retryAfterSeconds: Int?
        @OmitEmpty package var causes: [Cause] = []

        package init() {}
    }

    package struct Cause: Schema {
        package var reason: String?
        package var message: String?
        package var field: String?

        package init() {}
    }
}

extension APIStatus: CustomStringConvertible {
    package var description: String {
        let head = [code.map(String.init), reason].compactMap(\.self).joined(separator: " ")
        guard let message, !message.isEmpty else { return head.isEmpty ? "unknown error" : head }
        return head.isEmpty ? message : "\(head): \(message)"
    }
}

extension APIStatus {
    package var isNotFound: Bool { code == 404 }
    package var isAlreadyExists: Bool { code == 409 && reason == "AlreadyExists" }
    /// A lost race on a resourceVersion, a failed precondition or a field owned by someone else.
    package var isConflict: Bool { code == 409 && reason != "AlreadyExists" }
    /// The field manager conflict of server-side apply; `details.causes` name the fields.
    package var isApplyConflict: Bool {
        isConflict && details?.causes.contains { $0.reason == "FieldManagerConflict" } == true
    }
    /// The object itself is wrong: only a changed one can be accepted.
    package var isInvalid: Bool { code == 422 && !isPolicyRefusal }
    /// The caller may not do this: by its roles, or by a policy or a webhook of the cluster.
    package var isForbidden: Bool { code == 403 || isPolicyRefusal }
    /// An admission policy or a webhook said no; with which code is theirs to choose, often 422.
    package var isPolicyRefusal: Bool {
        guard status == "Failure", let message else { return false }
        return message.contains("ValidatingAdmissionPolicy '")
            || message.contains("admission webhook \"")
    }
    package var isUnauthorized: Bool { code == 401 }
    package var isTooManyRequests: Bool { code == 429 }
    /// The resourceVersion (or the continue token) is too old: list again.
    package var isExpired: Bool { code == 410 || reason == "Expired" || reason == "Gone" }
    /// The server has not yet seen the resourceVersion asked for.
    package var isTooLargeResourceVersion: Bool {
        details?.causes.contains { $0.reason == "ResourceVersionTooLarge" } == true
            || (code == 504 && message?.contains("Too large resource version") == true)
    }
    /// Asking again later may help without anyone changing anything.
    ///
    /// A plain 500 is not among them: a wrong type in an apply gives one as well.
    package var isTransient: Bool {
        switch code {
        case 429, 502, 503, 504: true
        case 500: reason == "InternalError" || reason == "ServerTimeout"
        default: false
        }
    }
}
