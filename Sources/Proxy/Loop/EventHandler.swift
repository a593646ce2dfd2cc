/// Something that an `EventLoop` calls when a descriptor is ready, or when it asked to be called.
protocol EventHandler: AnyObject {
    /// Called on the loop's thread; several reasons may come in one call.
    ///
    /// It may register and deregister anything, itself included. A handler that was deregistered is not called again.
    func handle(_ events: ReadyEvents, on loop: EventLoop)

    /// The loop has ended: let go of descriptors and of whoever refers back; nobody is to be told.
    func loopEnded()
}

extension EventHandler {
    func loopEnded() {}
}

/// Why a handler is called.
struct ReadyEvents: OptionSet, Sendable {
    let rawValue: UInt8
    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Readable since the last call (edge) or still (level).
    static let readable = ReadyEvents(rawValue: 1)
    static let writable = ReadyEvents(rawValue: 2)
    /// The descriptor failed or both directions are shut: read it to learn which.
    static let failed = ReadyEvents(rawValue: 4)
    /// It failed, and holds the error: comes with `failed`.
    static let hasError = ReadyEvents(rawValue: 64)
    /// The other end has ended its direction, or sent urgent bytes, at which reads stop short.
    ///
    /// Until then a read that gave less than was asked for has emptied the socket, and epoll tells when more has come;
    /// from then on only `wouldBlock` and the end say so.
    static let readsToEnd = ReadyEvents(rawValue: 32)
    /// `EventLoop.resume(_:)` was called in an earlier turn.
    static let resumed = ReadyEvents(rawValue: 8)
    /// `EventLoop.callAtTurnEnd(_:)` was called in this turn.
    static let turnEnd = ReadyEvents(rawValue: 16)
}

/// Names one registration of a handler at one loop.
///
/// A stale one (deregistered, its place reused) is recognized by its generation and has no effect.
struct RegistrationID: Hashable, Sendable {
    let index: UInt32
    let generation: UInt32

    /// Of no handler: takes half the room of an optional one.
    static let none = RegistrationID(index: .max, generation: 0)

    var token: UInt64 { UInt64(generation) << 32 | UInt64(index) }

    init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    init(token: UInt64) {
        index = UInt32(truncatingIfNeeded: token)
        generation = UInt32(truncatingIfNeeded: token >> 32)
    }
}

/// Names one timer of one loop; a stale one has no effect.
struct TimerID: Hashable, Sendable {
    let index: UInt32
    let generation: UInt32

    /// Of no timer: takes half the room of an optional one.
    static let none = TimerID(index: .max, generation: 0)
}
