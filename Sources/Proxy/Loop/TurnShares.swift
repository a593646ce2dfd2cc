import DequeModule
import NetworkModel

/// Names the account on which something is done: a neighbor site's, or that of all whose site is not known yet.
struct AccountNumber: Hashable, Sendable {
    private let number: UInt32

    init(value: Int) { number = UInt32(value) }

    var value: Int { Int(number) }

    /// Of neighbors whose handshake is not done.
    static let strangers = AccountNumber(value: 0)
}

/// How long a loop works for each account in one turn, and what waits for the next one.
///
/// A neighbor site may make any amount of work; in each turn it gets a share of time, then others have theirs. What is done
/// on no account (clients, listeners, timers) is never put off. While nobody else had anything to do lately the share is
/// longer, for each turn costs a system call and a flush. What waits keeps its order within an account; accounts take
/// turns. Pure: work is any value, times are arguments.
struct TurnShares<Work> {
    /// With others about.
    static var shared: Duration { .microseconds(250) }
    static var alone: Duration { .milliseconds(1) }
    /// Whoever had nothing to do for so long is not waited for.
    static var memory: Duration { .milliseconds(10) }

    private var spent: [Duration] = []
    /// Accounts that have spent something in this turn.
    private var spenders: [AccountNumber] = []
    private var waiting: [AccountNumber: Deque<Work>] = [:]
    /// Accounts with something that waits, in the order of their turns.
    private var turns: Deque<AccountNumber> = []
    /// On which account a call was made last; nil: on none.
    private var latest: AccountNumber?
    private var crowdedUntil = Instant(nanoseconds: 0)

    var hasWaiting: Bool { !turns.isEmpty }

    /// A turn begins: every account has its share again.
    mutating func begin() {
        for account in spenders { spent[account.value] = .zero }
        spenders.removeAll(keepingCapacity: true)
    }

    /// What an account may spend in a turn.
    func share(at now: Instant) -> Duration { now < crowdedUntil ? Self.shared : Self.alone }

    /// True when nothing of this account waits and it has time left; else `putOff` what there is to do.
    func mayWork(on account: AccountNumber, at now: Instant) -> Bool {
        hasTime(account, at: now) && (turns.isEmpty || waiting[account] == nil)
    }

    mutating func putOff(_ work: Work, on account: AccountNumber) {
        if waiting[account]?.append(work) == nil {
            waiting[account] = [work]
            turns.append(account)
        }
    }

    /// Work that waits, of an account that has time left.
    mutating func next(at now: Instant) -> (work: Work, account: AccountNumber)? {
        for _ in 0..<turns.count {
            guard let account = turns.popFirst() else { return nil }
            guard hasTime(account, at: now), let work = waiting[account]?.popFirst() else {
                turns.append(account)
                continue
            }
            if waiting[account]?.isEmpty == true {
                waiting[account] = nil
            } else {
                turns.append(account)
            }
            return (work, account)
        }
        return nil
    }

    /// Somebody had something to do.
    mutating func called(on account: AccountNumber?, at now: Instant) {
        guard account != latest else { return }
        latest = account
        crowdedUntil = now + Self.memory
    }

    mutating func spend(_ time: Duration, on account: AccountNumber) {
        while spent.count <= account.value { spent.append(.zero) }
        if spent[account.value] == .zero { spenders.append(account) }
        spent[account.value] += max(time, .nanoseconds(1))
    }

    mutating func removeAll() { self = TurnShares() }

    private func hasTime(_ account: AccountNumber, at now: Instant) -> Bool {
        account.value >= spent.count || spent[account.value] < share(at: now)
    }
}
