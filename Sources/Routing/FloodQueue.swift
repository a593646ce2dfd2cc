import DequeModule
import NetworkModel

/// What one neighbor has still to be sent, or has been sent and not acknowledged.
///
/// At most `RoutingLimits.unacknowledged` LSAs are on their way; the rest waits, each at most once and always in its
/// newest form.
struct FloodQueue: Sendable {
    private struct Sent: Sendable {
        var sequence: UInt64
        var attempts: Int
        var again: Instant
    }

    private struct SentSummary: Sendable {
        let summary: LSASummary
        var attempts = 0
        var again: Instant
    }

    private var waiting: Deque<LSAKey> = []
    private var isWaiting: Set<LSAKey> = []
    private var sent: [LSAKey: Sent] = [:]
    private var summaries: [UInt32: SentSummary] = [:]

    var isIdle: Bool { waiting.isEmpty && sent.isEmpty && summaries.isEmpty }

    /// The neighbor needs the newest LSA of this key.
    mutating func enqueue(_ key: LSAKey) {
        sent[key] = nil
        if isWaiting.insert(key).inserted { waiting.append(key) }
    }

    /// True when this version was sent and not acknowledged: it is sent again in time.
    func isOnItsWay(_ key: LSAKey, _ sequence: UInt64) -> Bool { sent[key]?.sequence == sequence }

    /// The neighbor holds this one, or a newer one.
    mutating func acknowledge(_ header: LSAHeader, newest: UInt64?) {
        if let held = sent[header.key], held.sequence <= header.sequence { sent[header.key] = nil }
        if isWaiting.contains(header.key), header.sequence >= newest ?? 0 {
            isWaiting.remove(header.key)
        }
    }

    mutating func add(_ pieces: [LSASummary], at now: Instant) {
        summaries = [:]
        for piece in pieces { summaries[piece.number] = SentSummary(summary: piece, again: now) }
    }

    /// True when the neighbor answers a summary that is on its way.
    mutating func acknowledgeSummary(_ number: UInt32) -> Bool {
        summaries.removeValue(forKey: number) != nil
    }

    /// What has to be sent now.
    mutating func take(from database: LSDB, at now: Instant) -> [RoutingMessage] {
        var messages: [RoutingMessage] = []
        for number in summaries.keys.sorted() {
            guard var entry = summaries[number], now >= entry.again else { continue }
            entry.attempts += 1
            entry.again = now + Self.wait(entry.attempts)
            summaries[number] = entry
            messages.append(.summary(entry.summary))
        }
        for key in sent.keys.filter({ now >= sent[$0]?.again ?? now }).sorted() {
            guard let signed = database[key], let old = sent[key] else {
                sent[key] = nil
                continue
            }
            sent[key] = Sent(
                sequence: signed.lsa.sequence,
                attempts: old.attempts + 1,
                again: now + Self.wait(old.attempts + 1)
            )
            messages.append(.lsa(signed.bytes))
        }
        while sent.count < RoutingLimits.unacknowledged, let key = waiting.popFirst() {
            guard isWaiting.remove(key) != nil, let signed = database[key] else { continue }
            sent[key] = Sent(
                sequence: signed.lsa.sequence,
                attempts: 1,
                again: now + Self.wait(1)
            )
            messages.append(.lsa(signed.bytes))
        }
        return messages
    }

    private static func wait(_ attempts: Int) -> Duration {
        RoutingLimits.retransmission * min(attempts, 8)
    }

    /// True when something can be sent that was not sent before.
    var hasNews: Bool { !waiting.isEmpty && sent.count < RoutingLimits.unacknowledged }

    /// When something has to be sent again.
    var nextDeadline: Instant? {
        let first = sent.values.lazy.map(\.again).min()
        let second = summaries.values.lazy.map(\.again).min()
        return [first, second].compactMap(\.self).min()
    }
}
