import NetworkModel

/// Which of the views that were given to the loops every loop knows.
struct Views: Sendable {
    private var last: UInt64 = 0
    private var seen: UInt64 = 0

    /// Every loop knows everything.
    var areSeen: Bool { seen == last }

    /// Gives the loops a new one, and other listeners if these are named; its number.
    @discardableResult
    mutating func publish(
        refusesStreams: Bool,
        listeners: [ClientListener]? = nil,
        _ turn: inout Turn
    ) -> UInt64 {
        last += 1
        turn.outputs.append(
            .publishView(last, refusesStreams: refusesStreams, listeners: listeners)
        )
        return last
    }

    mutating func saw(_ number: UInt64) { seen = max(seen, number) }

    func wereSeen(_ number: UInt64) -> Bool { seen >= number }
}
