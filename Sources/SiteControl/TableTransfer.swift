import Wire

/// A table on its way to a sidecar: only so many frames at a time, as a lane's queue of control frames is bounded.
struct TableTransfer {
    /// Frames that were sent and not acknowledged: about a quarter of what a lane queues.
    static let window: UInt32 = 32
    /// Frames of one table; the rest of a longer one is left out.
    static let frameLimit = 1_024

    let generation: UInt64
    let frameCount: UInt32
    /// Those that have not been sent, encoded, the last one first.
    private var waiting: [[UInt8]]

    /// Gives the number of frames that were left out, too.
    static func make(of table: SidecarTable) -> (transfer: TableTransfer, leftOut: Int) {
        let frames = table.fragments()
        var kept = Array(frames.prefix(frameLimit))
        kept[kept.count - 1].isLast = true
        let transfer = TableTransfer(
            generation: table.generation,
            frameCount: UInt32(kept.count),
            waiting: kept.reversed().map(\.encoded)
        )
        return (transfer, frames.count - kept.count)
    }

    var isSent: Bool { waiting.isEmpty }

    /// What to send when so many frames have been acknowledged.
    mutating func next(acknowledged: UInt32) -> [[UInt8]] {
        let sent = frameCount - UInt32(waiting.count)
        let unanswered = sent - min(acknowledged, sent)
        var frames: [[UInt8]] = []
        while frames.count + Int(unanswered) < Int(Self.window), let frame = waiting.popLast() {
            frames.append(frame)
        }
        return frames
    }
}
