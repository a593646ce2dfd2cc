import Streaming

extension RingSpace {
    /// Fills both pieces, in order, as far as the bytes go.
    func copyBytes(from bytes: [UInt8]) {
        unsafe first.copyBytes(from: bytes.prefix(first.count))
        unsafe second.copyBytes(from: bytes.dropFirst(first.count))
    }
}
