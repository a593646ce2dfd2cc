import Glibc
import NetworkModel

/// One thread's share of the proxy: descriptors, timers and a mailbox around `epoll`.
///
/// A turn, in this order: wait; call the handlers of ready descriptors, then those that asked to be resumed, for a
/// millisecond; run the letters of the mailbox, for two; go on with what earlier turns put off; fire due timers, for one (so a
/// deadline is judged only after every socket was read); call the handlers that asked for the end of the turn (so everything a
/// turn produced is flushed once). What is done on a neighbor's account has a share of the turn (`TurnShares`) and is put
/// off beyond it. Between any two of these calls, pulses that are due: under load a turn may last longer than a neighbor's
/// patience. Everything of a loop is confined to its thread: the type is not Sendable, other threads reach it through
/// `mailbox` only.
final class EventLoop {
    /// 0 is the loop that hosts the control.
    let index: Int
    let mailbox: Mailbox
    /// The monotonic time at which this turn's events were collected.
    private(set) var now: Instant
    /// By how much this turn began later than its earliest timer wanted.
    private(set) var lateness: Duration = .zero

    /// For who watches that the loop turns.
    let stamp = TurnStamp()
    let buffers = LoopBuffers()
    private let epoll: Epoll
    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private var resumed: [RegistrationID] = []
    private var turnEnd: [RegistrationID] = []
    /// Those that are called now; changes places with the two above, so that no turn allocates.
    private var calling: [RegistrationID] = []
    private var timers = TimerQueue()
    private var pulses = TimerQueue()
    private var locals: [ObjectIdentifier: AnyObject] = [:]
    private var isStopped = false
    private var isBreathing = false
    /// Letters that were taken out of the mailbox, and the first of them that was not run.
    private var letters: [Mailbox.Item] = []
    private var nextLetter = 0
    private var shares = TurnShares<Work>()
    /// Until when the time of this turn has been spent on somebody.
    private var mark: Instant

    /// What waits for a later turn.
    private enum Work {
        /// A call with the events that its slot has kept.
        case call(RegistrationID)
        case letter(Mailbox.Letter)
        case step((EventLoop) -> Void)
    }

    private struct Slot {
        var handler: (any EventHandler)?
        var generation: UInt32 = 0
        /// -1 for a handler without a descriptor.
        var descriptor: Int32 = -1
        /// On whose account the handler is called; nil: on nobody's.
        var account: AccountNumber?
        var isResumed = false
        var isAtTurnEnd = false
        /// Events of which the handler has not been told yet.
        var kept: ReadyEvents = []
    }

    private static let mailboxToken = UInt64.max
    private static let waitsPerTurn = 16
    /// How long letters are run in one turn before sockets and timers have theirs.
    private static let lettersTime = Duration.milliseconds(2)
    /// How long timers are fired in one turn; thousands may be due at once.
    private static let timersTime = Duration.milliseconds(1)
    /// How long resumed handlers are called in one turn before sockets are asked again.
    private static let resumedTime = Duration.milliseconds(1)

    init(index: Int, mailbox: Mailbox) throws(SystemError) {
        self.index = index
        self.mailbox = mailbox
        now = Self.clock()
        mark = now
        epoll = try Epoll()
        try epoll.add(mailbox.event.number, .readable, token: Self.mailboxToken)
    }

    /// The monotonic clock, for those few places where `now` is too old.
    static func clock() -> Instant {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}

// MARK: - Handlers

extension EventLoop {
    enum Trigger: Sendable {
        /// Told once per change, for both directions; the handler reads or writes until `wouldBlock`, or resumes itself.
        case edge
        /// Told again every turn while readable; never told of writability.
        case level
    }

    /// Watches the descriptor `number` and calls `handler`, which the loop retains until it is deregistered.
    ///
    /// Calls on an account wait while it has used up its share of a turn.
    ///
    /// - Throws: `epoll_ctl`'s error, such as ENOSPC when the user's limit of watches is reached.
    func register(
        _ handler: any EventHandler,
        descriptor number: Int32,
        trigger: Trigger = .edge,
        on account: AccountNumber? = nil
    ) throws(SystemError) -> RegistrationID {
        let id = place(handler, number)
        if account != nil { slots[Int(id.index)].account = account }
        do {
            let interest: Epoll.Interest =
                switch trigger {
                case .edge: [.readable, .writable, .neighborEnded, .urgent, .edge]
                case .level: .readable
                }
            try epoll.add(number, interest, token: id.token)
        } catch {
            vacate(id)
            throw error
        }
        return id
    }

    /// Watches `descriptor`.
    ///
    /// - Throws: `epoll_ctl`'s error.
    func register(
        _ handler: any EventHandler,
        for descriptor: borrowing FileDescriptor,
        trigger: Trigger = .edge
    ) throws(SystemError) -> RegistrationID {
        try register(handler, descriptor: descriptor.number, trigger: trigger)
    }

    /// A registration without a descriptor, for `resume` and `callAtTurnEnd` only.
    func register(_ handler: any EventHandler) -> RegistrationID { place(handler, -1) }

    /// Stops calling the handler; call it before the descriptor is closed or handed on.
    ///
    /// With `closing` the kernel is left to forget a descriptor that is closed next.
    func deregister(_ id: RegistrationID, closing: Bool = false) {
        guard isLive(id) else { return }
        let descriptor = slots[Int(id.index)].descriptor
        if descriptor >= 0, !closing { epoll.remove(descriptor) }
        vacate(id)
    }

    /// Calls `handler` from now on for an edge-triggered registration of somebody else.
    ///
    /// What the kernel has told the one before, it does not tell again.
    func handOver(_ id: RegistrationID, to handler: any EventHandler) {
        guard isLive(id) else { return }
        slots[Int(id.index)].handler = handler
    }

    /// Calls the handler on this account from now on.
    func setAccount(_ account: AccountNumber?, of id: RegistrationID) {
        guard isLive(id) else { return }
        slots[Int(id.index)].account = account
    }

    /// True while there is something of which the handler will be told in a later turn only.
    func isPutOff(_ id: RegistrationID) -> Bool {
        isLive(id) && !slots[Int(id.index)].kept.isEmpty
    }

    /// Pauses (false) or goes on (true) to report a level-triggered registration.
    func setReporting(_ reports: Bool, _ id: RegistrationID) {
        guard isLive(id), slots[Int(id.index)].descriptor >= 0 else { return }
        let descriptor = slots[Int(id.index)].descriptor
        // Cannot fail for a descriptor that is registered.
        try? epoll.modify(descriptor, reports ? .readable : [], token: id.token)
    }

    /// Calls the handler again behind the sockets that are ready, in this turn or the next, which then does not wait: for
    /// one that used up its budget.
    func resume(_ id: RegistrationID) {
        guard isLive(id), !slots[Int(id.index)].isResumed else { return }
        slots[Int(id.index)].isResumed = true
        resumed.append(id)
    }

    /// Calls the handler once at the end of this turn: for one that collects what a turn produces.
    func callAtTurnEnd(_ id: RegistrationID) {
        guard isLive(id), !slots[Int(id.index)].isAtTurnEnd else { return }
        slots[Int(id.index)].isAtTurnEnd = true
        turnEnd.append(id)
    }

    private func isLive(_ id: RegistrationID) -> Bool {
        let index = Int(id.index)
        return index < slots.count && slots[index].generation == id.generation
            && slots[index].handler != nil
    }

    private func place(_ handler: any EventHandler, _ descriptor: Int32) -> RegistrationID {
        let index = free.popLast() ?? UInt32(slots.count)
        guard index < slots.count else {
            slots.append(Slot(handler: handler, descriptor: descriptor))
            return RegistrationID(index: index, generation: 0)
        }
        let generation = slots[Int(index)].generation
        slots[Int(index)] = Slot(
            handler: handler,
            generation: generation,
            descriptor: descriptor
        )
        return RegistrationID(index: index, generation: generation)
    }

    private func vacate(_ id: RegistrationID) {
        slots[Int(id.index)] = Slot(generation: id.generation &+ 1)
        free.append(id.index)
    }
}

// MARK: - Timers and loop-local objects

extension EventLoop {
    /// Runs `action` on this loop once `delay` has passed, never within this call.
    @discardableResult
    func schedule(
        after delay: Duration,
        _ action: @escaping (EventLoop) -> Void
    ) -> TimerID {
        timers.set(at: Self.clock() + delay, action)
    }

    /// Runs `action` on this loop at `deadline` or, if that has passed, in a later turn than this.
    @discardableResult
    func schedule(
        at deadline: Instant,
        _ action: @escaping (EventLoop) -> Void
    ) -> TimerID {
        timers.set(at: max(deadline, afterNow), action)
    }

    /// This turn fires what is due at `now`.
    private var afterNow: Instant { Instant(nanoseconds: now.nanoseconds + 1) }

    /// Whether it will fire, and no later than one that is scheduled at `deadline` now.
    func isSet(_ id: TimerID, by deadline: Instant) -> Bool {
        timers.deadline(of: id).map { $0 <= max(deadline, afterNow) } ?? false
    }

    /// Forgets a timer; one that has fired or was canceled is ignored.
    func cancel(_ id: TimerID) { timers.cancel(id) }

    /// Runs `action` on this loop once `delay` has passed, between any two calls of a turn: for what must not wait for
    /// the end of a long one.
    ///
    /// It must be short, and may not judge by what this turn has read so far.
    func pulse(
        after delay: Duration,
        _ action: @escaping (EventLoop) -> Void
    ) -> TimerID {
        pulses.set(at: Self.clock() + delay, action)
    }

    /// Fires the pulses that are due: to be called between any two steps of a loop that may last.
    ///
    /// Never while one of the loop's buffers but `plaintext` is in use, nor from within a pulse.
    func breathe() { firePulses(at: Self.clock()) }

    /// Likewise, for who has just looked at the clock.
    func breathe(at now: Instant) { firePulses(at: now) }

    /// How long one step may last, now, before others have their turn.
    var stepTime: Duration { shares.share(at: now) }

    /// Runs `step` on this account, behind what of it waits already: for long work in slices.
    func putOff(on account: AccountNumber, _ step: @escaping (EventLoop) -> Void) {
        shares.putOff(.step(step), on: account)
    }

    /// Forgets a pulse; one that has fired or was canceled is ignored.
    func cancelPulse(_ id: TimerID) { pulses.cancel(id) }

    /// Keeps one object per type for the letters of the mailbox, which can capture nothing that is confined here.
    func setLocal<Object: AnyObject>(_ object: Object) {
        locals[ObjectIdentifier(Object.self)] = object
    }

    /// The object that `setLocal` stored for this type.
    func local<Object: AnyObject>(_ type: Object.Type) -> Object? {
        locals[ObjectIdentifier(type)] as? Object
    }
}

// MARK: - The turn

extension EventLoop {
    /// Turns until `stop()`, then lets go of every handler, timer and local object.
    func run() {
        while !isStopped { turn() }
        mailbox.close()
        // By index: a handler that lets go may deregister others.
        for index in slots.indices { slots[index].handler?.loopEnded() }
        timers.removeAll()
        pulses.removeAll()
        letters.removeAll()
        shares.removeAll()
        locals.removeAll()
        slots.removeAll()
        free.removeAll()
    }

    /// Ends `run` after this turn; relayed sockets that are still open reset their clients.
    func stop() { isStopped = true }

    private func turn() {
        let planned = earlier(timers.nextDeadline, pulses.nextDeadline)
        var hasMail = false
        var wait = timeout(until: planned)
        stamp.wait(until: planned)
        shares.begin()
        for _ in 0..<Self.waitsPerTurn {
            let count = epoll.wait(milliseconds: wait)
            now = Self.clock()
            mark = now
            stamp.begin(at: now)
            hasMail = dispatch(count) || hasMail
            wait = 0
            if count < Epoll.eventCountMax { break }
        }
        lateness = planned.map { max(.zero, now - $0) } ?? .zero
        callResumed()
        if hasMail { letters += mailbox.take() }
        runLetters()
        doWhatWaits()
        fireTimers()
        callTurnEnd()
        breathe()
    }

    private func fireTimers() {
        let end = mark + Self.timersTime
        while mark < end, let action = timers.popDue(at: now) {
            action(self)
            settle(on: nil)
        }
    }

    /// What was put off, for as long as its accounts have time left in this turn.
    private func doWhatWaits() {
        while let (work, account) = shares.next(at: now) {
            switch work {
            case .letter(let letter):
                letter(self)
                settle(on: account)
            case .step(let step):
                step(self)
                settle(on: account)
            case .call(let id):
                // Deregistered meanwhile, or told of what there was.
                guard isPutOff(id) else { continue }
                let events = slots[Int(id.index)].kept
                slots[Int(id.index)].kept = []
                handle(id, events)
            }
        }
    }

    /// What was done since the last time was done on `account`.
    private func settle(on account: AccountNumber?) {
        let time = Self.clock()
        if let account { shares.spend(time - mark, on: account) }
        mark = time
        firePulses(at: time)
    }

    /// Whoever posts much makes others wait, but not sockets and timers.
    private func runLetters() {
        guard nextLetter < letters.count else { return }
        let end = mark + Self.lettersTime
        while mark < end, nextLetter < letters.count {
            let (letter, account) = letters[nextLetter]
            nextLetter += 1
            if let account, !shares.mayWork(on: account, at: now) {
                shares.putOff(.letter(letter), on: account)
            } else {
                letter(self)
                settle(on: account)
            }
        }
        if nextLetter == letters.count {
            letters.removeAll(keepingCapacity: letters.count <= 1_024)
            nextLetter = 0
        } else if nextLetter > letters.count / 2 {
            letters.removeFirst(nextLetter)
            nextLetter = 0
        }
    }

    private func earlier(_ left: Instant?, _ right: Instant?) -> Instant? {
        guard let left, let right else { return left ?? right }
        return min(left, right)
    }

    private func firePulses(at now: Instant) {
        guard let next = pulses.nextDeadline, next <= now, !isBreathing else { return }
        isBreathing = true
        defer { isBreathing = false }
        while let action = pulses.popDue(at: now) { action(self) }
    }

    /// Milliseconds for `epoll_wait`, rounded up so that a timer is due when the wait ends.
    private func timeout(until deadline: Instant?) -> Int32 {
        guard resumed.isEmpty, turnEnd.isEmpty, letters.isEmpty, !shares.hasWaiting else {
            return 0
        }
        guard let deadline else { return -1 }
        let rest = (deadline - Self.clock()).wholeNanoseconds
        return rest <= 0 ? 0 : Int32(clamping: (rest + 999_999) / 1_000_000)
    }

    /// Calls the handlers of the first `count` events; true when the mailbox was among them.
    private func dispatch(_ count: Int) -> Bool {
        var hasMail = false
        for index in 0..<count {
            let (token, ready) = epoll.event(index)
            if token == Self.mailboxToken {
                hasMail = true
            } else {
                call(RegistrationID(token: token), ready)
            }
        }
        return hasMail
    }

    /// Calls the handler, or keeps the events while its account has used up its share.
    private func call(_ id: RegistrationID, _ events: ReadyEvents) {
        guard isLive(id) else { return }
        let index = Int(id.index)
        guard let account = slots[index].account else { return handle(id, events) }
        guard slots[index].kept.isEmpty else {
            slots[index].kept.formUnion(events)
            return
        }
        guard shares.mayWork(on: account, at: now) else {
            slots[index].kept = events
            shares.putOff(.call(id), on: account)
            return
        }
        handle(id, events)
    }

    private func handle(_ id: RegistrationID, _ events: ReadyEvents) {
        guard isLive(id) else { return }
        let account = slots[Int(id.index)].account
        shares.called(on: account, at: mark)
        slots[Int(id.index)].handler?.handle(events, on: self)
        settle(on: account)
    }

    /// In the order in which they asked; those that the time does not reach are first in the next turn.
    private func callResumed() {
        guard !resumed.isEmpty else { return }
        swap(&resumed, &calling)
        let end = mark + Self.resumedTime
        var next = 0
        while next < calling.count, next == 0 || mark < end {
            let id = calling[next]
            next += 1
            guard isLive(id) else { continue }
            slots[Int(id.index)].isResumed = false
            call(id, .resumed)
        }
        if next < calling.count { resumed.insert(contentsOf: calling[next...], at: 0) }
        calling.removeAll(keepingCapacity: true)
    }

    /// Handlers called here may ask others for the end of the turn: a few rounds now, the rest in the next turn.
    private func callTurnEnd() {
        for _ in 0..<4 where !turnEnd.isEmpty {
            swap(&turnEnd, &calling)
            for place in calling.indices where isLive(calling[place]) {
                let id = calling[place]
                slots[Int(id.index)].isAtTurnEnd = false
                handle(id, .turnEnd)
            }
            calling.removeAll(keepingCapacity: true)
        }
    }
}
