/// The streams of one carrier by label.
///
/// The opener of a stream chooses its label: a place in the opener's table (17 bits) with the generation of that
/// place (14 bits), so that late frames of an earlier stream are recognized. Both directions use the same number; the
/// highest bit says that the sender of the frame is not the opener. So each side has a table of its own choice and one
/// of the neighbor's, and a frame can reach no stream of another neighbor.
struct LabelTable {
    static let answerBit: UInt32 = 1 << 31
    private static let indexBits: UInt32 = 17
    private static let indexMask: UInt32 = 1 << indexBits - 1
    private static let generationMask: UInt32 = 1 << 14 - 1
    /// Streams that each side may have open.
    static let limit = 1 << Int(indexBits)

    private struct Slot {
        var generation: UInt32 = 0
        var end: StreamEnd?
    }

    private var opened: [Slot] = []
    private var free: [UInt32] = []
    /// By place; only those that are taken, since the neighbor chooses the places.
    private var accepted: [Int: Slot] = [:]
    private(set) var count = 0

    /// A label for a stream that this side opens; nil when all are taken.
    mutating func open(_ end: StreamEnd) -> UInt32? {
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
        } else {
            guard opened.count < Self.limit else { return nil }
            index = UInt32(opened.count)
            opened.append(Slot())
        }
        opened[Int(index)].end = end
        count += 1
        return opened[Int(index)].generation << Self.indexBits | index
    }

    /// Takes the label of an OPEN; gives the label to answer with, and the stream that had the place until now.
    ///
    /// Nil when the number is none that an opener may write.
    mutating func accept(
        _ label: UInt32,
        _ end: StreamEnd
    ) -> (label: UInt32, replaced: StreamEnd?)? {
        guard label & Self.answerBit == 0 else { return nil }
        let index = Int(label & Self.indexMask)
        let replaced = accepted[index]?.end
        accepted[index] = Slot(generation: label >> Self.indexBits, end: end)
        if replaced == nil { count += 1 }
        return (label | Self.answerBit, replaced)
    }

    /// The stream that a frame with `label` belongs to; nil for one that has ended.
    func find(_ label: UInt32) -> StreamEnd? {
        let index = Int(label & Self.indexMask)
        let generation = (label & ~Self.answerBit) >> Self.indexBits
        guard label & Self.answerBit != 0 else {
            guard let slot = accepted[index], slot.generation == generation else { return nil }
            return slot.end
        }
        guard index < opened.count, opened[index].generation == generation else { return nil }
        return opened[index].end
    }

    /// Forgets `end`, which writes `label` into its frames.
    mutating func remove(_ end: StreamEnd, label: UInt32) {
        let index = Int(label & Self.indexMask)
        if label & Self.answerBit == 0 {
            guard index < opened.count, opened[index].end === end else { return }
            opened[index].end = nil
            opened[index].generation = (opened[index].generation + 1) & Self.generationMask
            free.append(UInt32(index))
        } else {
            guard accepted[index]?.end === end else { return }
            accepted[index] = nil
        }
        count -= 1
    }

    /// Every stream there is; the tables are empty afterwards.
    mutating func removeAll() -> [StreamEnd] {
        let ends = opened.compactMap(\.end) + accepted.values.compactMap(\.end)
        self = LabelTable()
        return ends
    }
}
