/// What stands between the bytes of one connection and its requests: TLS, made by whoever has the certificates.
///
/// It is used by one thread.
package struct SecureChannel {
    /// What became of bytes that arrived.
    package struct Opened {
        package var plaintext: [UInt8]
        /// To be sent at once: the handshake.
        package var reply: [UInt8]
        /// Nothing more can come.
        package var isOver: Bool

        package init(plaintext: [UInt8], reply: [UInt8], isOver: Bool) {
            self.plaintext = plaintext
            self.reply = reply
            self.isOver = isOver
        }
    }

    let open: (ArraySlice<UInt8>) -> Opened
    /// Everything that is sent, and the end.
    let seal: ([UInt8]) -> [UInt8]

    package init(
        open: @escaping (ArraySlice<UInt8>) -> Opened,
        seal: @escaping ([UInt8]) -> [UInt8]
    ) {
        self.open = open
        self.seal = seal
    }
}
