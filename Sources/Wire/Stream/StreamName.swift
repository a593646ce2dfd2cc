package import NetworkModel

/// What names a stream end to end.
package struct StreamName: Hashable, Sendable {
    // In an order without gaps.
    /// Counts the attempts of that instance, from 1; each OPEN has a number of its own.
    package var number: UInt64
    /// The proxy that has the client.
    package var ingress: ProxyID

    package init(ingress: ProxyID, number: UInt64) {
        self.ingress = ingress
        self.number = number
    }
}

extension FrameWriter {
    /// 34 bytes of ProxyID, 8 of number.
    package mutating func streamName(_ name: StreamName) {
        proxyID(name.ingress)
        uint64(name.number)
    }
}

extension FrameReader {
    mutating func streamName(_ payload: RawSpan) throws(WireError) -> StreamName {
        StreamName(ingress: try proxyID(payload), number: try uint64(payload))
    }
}
