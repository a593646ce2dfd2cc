/// The streams of one carrier by label.
///
/// The opener of a stream chooses its label: a place in the opener's table (17 bits) with the generation of that
/// place (14 bits), so that late frames of an earlier stream are recognized. Both directions use the same number; the
/// highest bit says that the sender of the frame is not the opener. So each side has a table of its own choice and one
/// of the neighbor's, and a frame can reach no stream of another neighbor.
package struct LabelTable<End: AnyObject> {
    @usableFromInline
    struct Slot {
        @usableFromInline var generation: UInt32 = 0
        @usableFromInline var end: End?

        @inlinable
        init(generation: UInt32 = 0, end: End? = nil) {
            self.generation = generation
            self.end = end
        }
    }

    @usableFromInline var opened: [Slot] = []
    @usableFromInline var free: [UInt32] = []
    /// By place, in pages; only those that were ever taken, since the neighbor chooses the places.
    @usableFromInline var accepted: [[Slot]] = []
    @usableFromInline var taken = 0

    @inlinable
    package init() {}

    package var count: Int { taken }

    @usableFromInline static var pageSize: Int { 64 }

    @inlinable
    func accepted(at place: Int) -> Slot? {
        let (page, rest) = place.quotientAndRemainder(dividingBy: Self.pageSize)
        guard page < accepted.count, !accepted[page].isEmpty else { return nil }
        return accepted[page][rest]
    }

    @inlinable
    mutating func setAccepted(_ slot: Slot, at place: Int) {
        let (page, rest) = place.quotientAndRemainder(dividingBy: Self.pageSize)
        while accepted.count <= page { accepted.append([]) }
        if accepted[page].isEmpty {
            accepted[page] = Array(repeating: Slot(), count: Self.pageSize)
        }
        accepted[page][rest] = slot
    }

    /// A label for a stream that this side opens; nil when all are taken.
    @inlinable
    package mutating func open(_ end: End) -> UInt32? {
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
        } else {
            guard opened.count < StreamLabel.limit else { return nil }
            index = UInt32(opened.count)
            opened.append(Slot())
        }
        opened[Int(index)].end = end
        taken += 1
        return StreamLabel.label(index, generation: opened[Int(index)].generation)
    }

    /// Takes the label of an OPEN; gives the label to answer with, and the stream that had the place until now.
    ///
    /// Nil when the number is none that an opener may write.
    @inlinable
    package mutating func accept(
        _ label: UInt32,
        _ end: End
    ) -> (label: UInt32, replaced: End?)? {
        guard label & StreamLabel.answerBit == 0 else { return nil }
        let index = StreamLabel.place(label)
        let replaced = accepted(at: index)?.end
        setAccepted(Slot(generation: StreamLabel.generation(label), end: end), at: index)
        if replaced == nil { taken += 1 }
        return (label | StreamLabel.answerBit, replaced)
    }

    /// The stream that a frame with `label` belongs to; nil for one that has ended.
    @inlinable
    package func find(_ label: UInt32) -> End? {
        let index = StreamLabel.place(label)
        let generation = StreamLabel.generation(label)
        guard label & StreamLabel.answerBit != 0 else {
            guard let slot = accepted(at: index), slot.generation == generation else {
                return nil
            }
            return slot.end
        }
        guard index < opened.count, opened[index].generation == generation else { return nil }
        return opened[index].end
    }

    /// Forgets `end`, which writes `label` into its frames.
    @inlinable
    package mutating func remove(_ end: End, label: UInt32) {
        let index = StreamLabel.place(label)
        if label & StreamLabel.answerBit == 0 {
            guard index < opened.count, opened[index].end === end else { return }
            opened[index].end = nil
            opened[index].generation = StreamLabel.next(opened[index].generation)
            free.append(UInt32(index))
        } else {
            guard accepted(at: index)?.end === end else { return }
            setAccepted(Slot(), at: index)
        }
        taken -= 1
    }

    /// Every stream there is.
    @inlinable
    package var all: [End] { opened.compactMap(\.end) + accepted.joined().compactMap(\.end) }

    /// Every stream there is; the tables are empty afterwards.
    @inlinable
    package mutating func removeAll() -> [End] {
        let ends = all
        self = LabelTable()
        return ends
    }
}

/// How the number of a stream on a carrier is made up.
package enum StreamLabel {
    /// Set in frames of the side that did not open the stream.
    package static let answerBit: UInt32 = 1 << 31
    /// Streams that each side may have open.
    package static let limit = 1 << Int(indexBits)

    private static let indexBits: UInt32 = 17
    private static let indexMask: UInt32 = 1 << indexBits - 1
    private static let generationMask: UInt32 = 1 << 14 - 1

    package static func place(_ label: UInt32) -> Int { Int(label & indexMask) }

    package static func generation(_ label: UInt32) -> UInt32 {
        (label & ~answerBit) >> indexBits
    }

    package static func label(_ place: UInt32, generation: UInt32) -> UInt32 {
        generation << indexBits | place
    }

    /// The generation of a place that was given back.
    package static func next(_ generation: UInt32) -> UInt32 { (generation + 1) & generationMask }
}
