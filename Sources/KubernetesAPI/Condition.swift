package import NetworkModel

/// One statement about an object's state (`metav1.Condition`).
package struct Condition: Codable, Hashable, Sendable {
    package enum Status: String, Codable, Sendable {
        case yes = "True"
        case no = "False"
        case unknown = "Unknown"
    }

    package var type: String
    package var status: Status
    /// PascalCase, for programs; never empty.
    package var reason: String
    /// For people, with the remedy; at most 32768 bytes.
    package var message: String
    package var observedGeneration: Int64?
    /// When `status` last changed.
    package var lastTransitionTime: Timestamp

    package init(
        type: String,
        status: Status,
        reason: String,
        message: String,
        observedGeneration: Int64?,
        lastTransitionTime: Timestamp
    ) {
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
        self.observedGeneration = observedGeneration
        self.lastTransitionTime = lastTransitionTime
    }
}

extension [Condition] {
    package subscript(type type: String) -> Condition? { first { $0.type == type } }

    package func isTrue(_ type: String) -> Bool { self[type: type]?.status == .yes }

    /// Sets a condition in place; the transition time moves only when the status changes.
    ///
    /// `now` is the wall clock, read by the caller.
    package mutating func set(
        _ type: String,
        _ status: Condition.Status,
        reason: String,
        message: String = "",
        observedGeneration: Int64? = nil,
        at now: Timestamp
    ) {
        let index = firstIndex { $0.type == type }
        let unchangedSince = index.flatMap { self[$0].status == status ? self[$0] : nil }
        let condition = Condition(
            type: type,
            status: status,
            reason: reason,
            message: message,
            observedGeneration: observedGeneration,
            lastTransitionTime: unchangedSince?.lastTransitionTime
                ?? Timestamp(seconds: now.seconds)
        )
        if let index { self[index] = condition } else { append(condition) }
    }

    package mutating func remove(_ type: String) { removeAll { $0.type == type } }
}
