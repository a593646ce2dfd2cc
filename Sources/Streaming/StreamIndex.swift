package import NetworkModel
package import Wire

/// Where the streams of a proxy are that have their server here, by their names: what names one comes from its ingress.
///
/// An entry is as old as its stream is known to others, and goes with it. How a stream ended that its ingress may still
/// ask for is remembered for a while: a tombstone. These are bounded, and the oldest give way.
package struct StreamIndex: Sendable {
    /// Names one stream of one loop for as long as it is there.
    package struct Place: Hashable, Sendable {
        package let stream: ObjectIdentifier
        /// Where its loop has it.
        package let seat: UInt32
        private let number: UInt16

        package init(loop: Int, seat: UInt32, stream: ObjectIdentifier) {
            number = UInt16(loop)
            self.seat = seat
            self.stream = stream
        }

        package var loop: Int { Int(number) }
    }

    /// How a stream has ended at its egress.
    package enum Verdict: Hashable, Sendable {
        /// Both directions in order.
        case finished
        /// The server has reset it.
        case endedByServer
        /// In another way.
        case lost

        /// What a RESUME is told.
        package var refusal: Refused.Reason {
            switch self {
            case .finished: .finished
            case .endedByServer: .endedByServer
            case .lost: .unknownStream
            }
        }
    }

    private enum Entry: Sendable {
        case present(Place)
        case ended(until: Instant, Verdict)
    }

    /// By ingress, then by number: half the memory of one table of whole names.
    private var entries: [ProxyID: [UInt64: Entry]] = [:]
    private var entryCount = 0
    /// Tombstones, the oldest first; those before `firstGrave` are gone.
    private var graves: [StreamName] = []
    private var firstGrave = 0
    private let graveLimit: Int

    package init(graveLimit: Int = 4_096) { self.graveLimit = graveLimit }

    /// Streams that are there.
    package var count: Int { entryCount - graveCount }
    /// Tombstones.
    package var graveCount: Int { graves.count - firstGrave }

    private subscript(name: StreamName) -> Entry? {
        get { entries[name.ingress]?[name.number] }
        set {
            let known = entries[name.ingress, default: [:]]
                .updateOrRemove(newValue, at: name.number)
            entryCount += (newValue == nil ? 0 : 1) - (known ? 1 : 0)
            if newValue == nil, entries[name.ingress]?.isEmpty == true {
                entries[name.ingress] = nil
            }
        }
    }

    package func find(_ name: StreamName) -> Place? {
        guard case .present(let place)? = self[name] else { return nil }
        return place
    }

    /// How a stream ended that is there no more; nil when nothing is known of it.
    package func verdict(_ name: StreamName, at now: Instant) -> Verdict? {
        guard case .ended(let until, let verdict)? = self[name], now < until else {
            return nil
        }
        return verdict
    }

    /// False when another stream has that name, or had it: it keeps it.
    @discardableResult
    package mutating func insert(_ name: StreamName, _ place: Place) -> Bool {
        switch self[name] {
        case nil:
            self[name] = .present(place)
            return true
        case .present(let known): return known == place
        case .ended: return false
        }
    }

    /// Takes the entry out if it is that of `place`.
    package mutating func remove(_ name: StreamName, _ place: Place) {
        guard find(name) == place else { return }
        self[name] = nil
    }

    /// As `remove`, and `verdict` is known until then.
    package mutating func bury(
        _ name: StreamName,
        _ place: Place,
        _ verdict: Verdict,
        until: Instant,
        at now: Instant
    ) {
        guard find(name) == place else { return }
        self[name] = .ended(until: until, verdict)
        graves.append(name)
        while let first = graves[firstGrave...].first, isOver(first, at: now) {
            self[first] = nil
            firstGrave += 1
        }
        if firstGrave > graveLimit / 2, firstGrave > graves.count / 2 {
            graves.removeFirst(firstGrave)
            firstGrave = 0
        }
    }

    private func isOver(_ name: StreamName, at now: Instant) -> Bool {
        if graveCount > graveLimit { return true }
        guard case .ended(let until, _)? = self[name] else { return true }
        return until <= now
    }
}

extension Dictionary {
    /// Sets or removes a value; true when there was one.
    fileprivate mutating func updateOrRemove(_ value: Value?, at key: Key) -> Bool {
        guard let value else { return removeValue(forKey: key) != nil }
        return updateValue(value, forKey: key) != nil
    }
}
