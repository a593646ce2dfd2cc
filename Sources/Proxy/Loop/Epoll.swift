import CLinux
import Glibc

/// An epoll instance with room for the events of one wait.
@safe
struct Epoll: ~Copyable {
    struct Interest: OptionSet {
        let rawValue: UInt32

        static let readable = Interest(rawValue: EPOLLIN.rawValue)
        static let writable = Interest(rawValue: EPOLLOUT.rawValue)
        static let neighborEnded = Interest(rawValue: EPOLLRDHUP.rawValue)
        static let urgent = Interest(rawValue: EPOLLPRI.rawValue)
        static let edge = Interest(rawValue: EPOLLET.rawValue)
    }

    /// The most events that one wait gives.
    static let eventCountMax = 256

    private let descriptor: FileDescriptor
    private let events: UnsafeMutablePointer<epoll_event>

    init() throws(SystemError) {
        let number = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard number >= 0 else { throw .last("epoll_create1") }
        descriptor = FileDescriptor(owning: number)
        unsafe events = .allocate(capacity: Self.eventCountMax)
        unsafe events.initialize(repeating: epoll_event(), count: Self.eventCountMax)
    }

    deinit { unsafe events.deallocate() }

    func add(_ number: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_ADD, number, interest, token)
    }

    func modify(_ number: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_MOD, number, interest, token)
    }

    func remove(_ number: Int32) {
        // Fails only when the descriptor is gone already, and then there is nothing to remove.
        _ = unsafe epoll_ctl(descriptor.number, EPOLL_CTL_DEL, number, events)
    }

    private func control(
        _ operation: Int32,
        _ number: Int32,
        _ interest: Interest,
        _ token: UInt64
    ) throws(SystemError) {
        var event = unsafe epoll_event()
        unsafe event.events = interest.rawValue
        unsafe event.data.u64 = token
        let status = unsafe epoll_ctl(descriptor.number, operation, number, &event)
        guard status == 0 else { throw .last("epoll_ctl") }
    }

    /// Waits for at most `milliseconds` (-1: for ever); gives the number of events, 0 also after a signal.
    func wait(milliseconds: Int32) -> Int {
        let count = unsafe epoll_wait(
            descriptor.number,
            events,
            Int32(Self.eventCountMax),
            milliseconds
        )
        precondition(count >= 0 || errno == EINTR, "epoll_wait failed with errno \(errno)")
        return max(0, Int(count))
    }

    /// The event at `index` of the last wait.
    func event(_ index: Int) -> (token: UInt64, ready: ReadyEvents) {
        precondition((0..<Self.eventCountMax).contains(index))
        let event = unsafe events[index]
        let mask = unsafe event.events
        var ready: ReadyEvents = []
        if mask & EPOLLIN.rawValue != 0 { ready.insert(.readable) }
        if mask & (EPOLLRDHUP.rawValue | EPOLLPRI.rawValue) != 0 {
            ready.insert([.readable, .readsToEnd])
        }
        if mask & EPOLLOUT.rawValue != 0 { ready.insert(.writable) }
        if mask & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { ready.insert(.failed) }
        if mask & EPOLLERR.rawValue != 0 { ready.insert(.hasError) }
        return unsafe (event.data.u64, ready)
    }
}
