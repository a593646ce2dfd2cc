package import NetworkModel

/// The steps by which a proxy ends: it accepts for `drain.delay`, closes its listeners, takes streams for as long as some come and
/// lets them end within `drain.grace`, refuses new ones, and stops.
///
/// A proxy that stands still (a stopped process, a busy machine) serves nobody and hears of nothing meanwhile: that time counts
/// neither as accepting nor as quiet, but the end stays where it was, for whoever told it to end kills it then. Pure: the
/// shell looks at the streams whenever `nextDeadline` is over, and carries out the steps.
package struct DrainSteps: Sendable {
    private enum Phase: Sendable {
        /// Can become: ending, over.
        case accepting(rest: Duration)
        /// Neighbors that have no other gateway yet go on sending streams, which are refused once none has come for two looks.
        /// Can become: over.
        case ending(isRefusing: Bool, emptyLooks: Int)
        /// The workload has ended: what it still sent is taken, the listeners close when a look finds nothing open, and the next such look
        /// is the last.
        /// Can become: over.
        case emptying(isListening: Bool)
        case over
    }

    private var phase: Phase
    private var lastLook: Instant
    private let end: Instant

    /// Between two looks.
    package static let interval: Duration = .milliseconds(250)
    /// The same where nobody is left who could notice the work that a look makes.
    package static let shortInterval: Duration = .milliseconds(50)
    /// A look that is later than this tells that the proxy stood still.
    private static let longestWait = interval * 3

    package init(_ parameters: DrainParameters, at now: Instant) {
        phase = .accepting(rest: parameters.delay)
        lastLook = now
        end = now + parameters.delay + parameters.grace
    }

    /// Of a sidecar that ends after its workload: nobody opens streams any more, so that it ends with the last one.
    package init(afterWorkload grace: Duration, at now: Instant) {
        phase = .emptying(isListening: true)
        lastLook = now
        end = now + grace
    }

    /// When to look next; nil: the drain is over, what is still open is reset.
    package var nextDeadline: Instant? {
        switch phase {
        case .accepting(let rest): min(lastLook + min(rest, Self.interval), end)
        case .ending: min(lastLook + Self.interval, end)
        case .emptying: min(lastLook + Self.shortInterval, end)
        case .over: nil
        }
    }

    /// A look found so many streams on all loops; nil: a loop did not answer.
    package mutating func looked(_ open: Int?, at now: Instant) -> [ControlInput] {
        let passed = now - lastLook
        lastLook = now
        guard now < end else { return finish() }
        let hasRun = open != nil && passed <= Self.longestWait
        switch phase {
        case .accepting(let rest):
            guard hasRun else { return [] }
            guard rest <= passed else {
                phase = .accepting(rest: rest - passed)
                return []
            }
            phase = .ending(isRefusing: false, emptyLooks: 0)
            return [.stopListening]
        case .ending(let isRefusing, let before):
            let looks = hasRun && open == 0 ? before + 1 : 0
            guard looks == 2 else {
                phase = .ending(isRefusing: isRefusing, emptyLooks: looks)
                return []
            }
            guard !isRefusing else { return finish() }
            phase = .ending(isRefusing: true, emptyLooks: 0)
            return [.stopStreams]
        case .emptying(let isListening):
            guard hasRun, open == 0 else { return [] }
            guard isListening else { return finish() }
            phase = .emptying(isListening: false)
            return [.stopListening]
        case .over: return []
        }
    }

    private mutating func finish() -> [ControlInput] {
        defer { phase = .over }
        switch phase {
        case .accepting, .emptying(isListening: true): return [.stopListening, .stopStreams]
        case .ending(isRefusing: false, _), .emptying(isListening: false): return [.stopStreams]
        case .ending(isRefusing: true, _), .over: return []
        }
    }
}
