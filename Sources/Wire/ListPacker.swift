/// Cuts lists that are too long for one frame into several frames: the one rule for all frames with lists.
///
/// It measures an element by encoding it, so that no second description of a layout can be wrong. A frame is full at
/// `WireLimit.listPayload` bytes of elements; no element is longer than what is left to the limit of a frame.
struct ListPacker<Piece> {
    private(set) var frames: [Piece]
    private let next: Piece
    private var size = 0
    private var count = 0
    private var scratch = FrameWriter(reserving: 1_024)

    /// `next` is what every frame but the first begins as.
    init(first: Piece, next: Piece) {
        frames = [first]
        self.next = next
    }

    /// Puts one element, which `encode` writes, into the last frame or a further one.
    mutating func add(_ encode: (inout FrameWriter) -> Void, _ place: (inout Piece) -> Void) {
        _ = makeRoom(encode)
        place(&frames[frames.count - 1])
    }

    /// Puts one element of a list within the element `head`, which is written again where the list goes on.
    mutating func add(
        _ encode: (inout FrameWriter) -> Void,
        within head: (inout FrameWriter) -> Void,
        placeHead: (inout Piece) -> Void,
        _ place: (inout Piece) -> Void
    ) {
        if makeRoom(encode) {
            _ = makeRoom(head)
            placeHead(&frames[frames.count - 1])
        }
        place(&frames[frames.count - 1])
    }

    /// Counts an element in; true when a further frame was begun for it.
    private mutating func makeRoom(_ encode: (inout FrameWriter) -> Void) -> Bool {
        scratch.removeAll()
        encode(&scratch)
        let length = scratch.bytes.count
        let fits = size + length <= WireLimit.listPayload && count < WireLimit.list
        guard count > 0, !fits else {
            size += length
            count += 1
            return false
        }
        frames.append(next)
        (size, count) = (length, 1)
        return true
    }
}
