package import NetworkAPI

/// What the API server said to the write of something that an object asks for.
package struct ApplyFailure: Equatable, Sendable {
    /// Invalid when it finds fault with what is asked for, which only the author can mend (422); ApplyFailed when
    /// somebody else can, such as who grants rights (403).
    package var reason: Reason
    package var message: String

    package init(isInvalid: Bool, message: String) {
        reason = isInvalid ? .invalid : .applyFailed
        self.message = message
    }
}
