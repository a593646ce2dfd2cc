package import Wire

extension ByteRing {
    /// Appends the `count` bytes from `offset` on as one DATA frame.
    package func appendFrame(
        _ count: Int,
        from offset: UInt64,
        label: UInt32,
        to buffer: inout FrameBuffer
    ) {
        buffer.append(type: .data, label: label, count: DataFrame.headerSize + count) { span in
            unsafe span.withUnsafeMutableBytes { bytes in
                unsafe bytes.storeBytes(of: offset.bigEndian, as: UInt64.self)
                unsafe copy(
                    from: offset,
                    to: UnsafeMutableRawBufferPointer(rebasing: bytes[DataFrame.headerSize...])
                )
            }
        }
    }
}
