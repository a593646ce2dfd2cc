/// Outside of the table, and with an end of no certain type: other modules would come by either through metadata that are
/// looked up for every frame.
private struct LabelSlot {
    var generation: UInt32 = 0
    var end: AnyObject?
}

/// The streams of one carrier by label.
///
/// The opener of a stream chooses its label: a place in the opener's table (17 bits) with the generation of that
/// place (14 bits), so that late frames of an earlier stream are recognized. Both directions use the same number; the
/// highest bit says that the sender of the frame is not the opener. So each side has a table of its own choice and one
/// of the neighbor's, and a frame can reach no stream of another neighbor.
package struct LabelTable<End: AnyObject> {
    private var opened: [LabelSlot] = []
    private var free: [UInt32] = []
    /// By place, in pages; only those that were ever taken, since the neighbor chooses the places.
    private var accepted: [[LabelSlot]] = []
    private var taken = 0

    package init() {}

    package var count: Int { taken }

    private static var pageSize: Int { 64 }

    private func known(_ end: AnyObject?) -> End? {
        guard let end else { return nil }
        // Nothing else is put in.
        return unsafe unsafeDowncast(end, to: End.self)
    }

    private func accepted(at place: Int) -> LabelSlot? {
        let (page, rest) = place.quotientAndRemainder(dividingBy: Self.pageSize)
        guard page < accepted.count, !accepted[page].isEmpty else { return nil }
        return accepted[page][rest]
    }

    private mutating func setAccepted(_ slot: LabelSlot, at place: Int) {
        let (page, rest) = place.quotientAndRemainder(dividingBy: Self.pageSize)
        while accepted.count <= page { accepted.append([]) }
        if accepted[page].isEmpty {
            accepted[page] = Array(repeating: LabelSlot(), count: Self.pageSize)
        }
        accepted[page][rest] = slot
    }

    /// A label for a stream that this side opens; nil when all are taken.
    package mutating func open(_ end: End) -> UInt32? {
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
        } else {
            guard opened.count < StreamLabel.limit else { return nil }
            index = UInt32(opened.count)
            opened.append(LabelSlot())
        }
        opened[Int(index)].end = end
        taken += 1
        return StreamLabel.label(index, generation: opened[Int(index)].generation)
    }

    /// Takes the label of an OPEN; gives the label to answer with, and the stream that had the place until now.
    ///
    /// Nil when the number is none that an opener may write.
    package mutating func accept(
        _ label: UInt32,
        _ end: End
    ) -> (label: UInt32, replaced: End?)? {
        guard label & StreamLabel.answerBit == 0 else { return nil }
        let index = StreamLabel.place(label)
        let replaced = known(accepted(at: index)?.end)
        setAccepted(LabelSlot(generation: StreamLabel.generation(label), end: end), at: index)
        if replaced == nil { taken += 1 }
        return (label | StreamLabel.answerBit, replaced)
    }

    /// The stream that a frame with `label` belongs to; nil for one that has ended.
    package func find(_ label: UInt32) -> End? {
        let index = StreamLabel.place(label)
        let generation = StreamLabel.generation(label)
        guard label & StreamLabel.answerBit != 0 else {
            guard let slot = accepted(at: index), slot.generation == generation else {
                return nil
            }
            return known(slot.end)
        }
        guard index < opened.count, opened[index].generation == generation else { return nil }
        return known(opened[index].end)
    }

    /// Gives the label of `old`, which this side has chosen, to another one.
    package mutating func replace(_ old: End, by new: End, label: UInt32) {
        let index = StreamLabel.place(label)
        guard index < opened.count, opened[index].end === old else { return }
        opened[index].end = new
    }

    /// Forgets `end`, which writes `label` into its frames.
    package mutating func remove(_ end: End, label: UInt32) {
        let index = StreamLabel.place(label)
        if label & StreamLabel.answerBit == 0 {
            guard index < opened.count, opened[index].end === end else { return }
            opened[index].end = nil
            opened[index].generation = StreamLabel.next(opened[index].generation)
            free.append(UInt32(index))
        } else {
            guard accepted(at: index)?.end === end else { return }
            setAccepted(LabelSlot(), at: index)
        }
        taken -= 1
    }

    /// Every stream there is.
    package var all: [End] {
        opened.compactMap { known($0.end) } + accepted.joined().compactMap { known($0.end) }
    }

    /// Every stream there is; the tables are empty afterwards.
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
