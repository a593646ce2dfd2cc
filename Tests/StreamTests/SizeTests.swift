import Testing

@testable import Proxy

/// What is there once for every connection, in sizes that leave none of malloc's steps of 16 bytes unused.
@Suite("What an idle connection takes")
struct SizeTests {
    @Test(
        "its objects have no more bytes than they had",
        arguments: [
            (name: "IngressConnection", size: instanceSize(IngressConnection.self), most: 392),
            (name: "EgressConnection", size: instanceSize(EgressConnection.self), most: 392),
            (name: "LooseEnd", size: instanceSize(LooseEnd.self), most: 72),
        ]
    )
    func objects(_ object: (name: String, size: Int, most: Int)) {
        #expect(object.size <= object.most, "\(object.name)")
    }

    @Test("nor have its place in a loop and what it has of its socket")
    func parts() {
        #expect(MemoryLayout<SocketPart>.stride <= 40)
        #expect(MemoryLayout<StreamHoldings>.stride <= 8)
    }
}

/// Behind kind, superclass, flags and address point in the metadata of a class, by the ABI of Linux.
private func instanceSize(_ type: AnyClass) -> Int {
    let metadata = unsafe unsafeBitCast(type, to: UnsafeRawPointer.self)
    return Int(unsafe metadata.load(fromByteOffset: 24, as: UInt32.self))
}
