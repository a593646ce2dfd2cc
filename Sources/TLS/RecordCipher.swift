import COpenSSL

/// Seals or opens the records of one direction, in order (RFC 8446 section 5.2): bytes are read where they are and written where they
/// stay, which OpenSSL's own records are not.
@safe
struct RecordCipher: ~Copyable {
    static let headerSize = 5
    /// Of the type behind the content, and the tag.
    static let overhead = 17
    static let contentMax = 16 * 1024
    /// Whoever changes keys more often only makes work.
    private static let recordsPerKeyMin: UInt64 = 256

    private var secret: TrafficSecret
    private var context: OpaquePointer
    /// The nonce of record 0, in one piece with that of the record at hand.
    private let memory: UnsafeMutableRawPointer
    private var number: UInt64 = 0
    /// AES-GCM is good for some more than 2^24 (RFC 8446 section 5.5).
    private let recordsPerKey: UInt64

    init?(_ secret: consuming TrafficSecret, recordsPerKey: UInt64) {
        self.recordsPerKey = recordsPerKey
        guard let (context, nonce) = unsafe secret.keys() else { return nil }
        self.secret = secret
        unsafe self.context = unsafe context
        unsafe memory = .allocate(byteCount: 24, alignment: 8)
        unsafe memory.copyMemory(from: nonce, byteCount: 12)
    }

    deinit {
        unsafe OPENSSL_cleanse(memory, 24)
        unsafe memory.deallocate()
        unsafe EVP_CIPHER_CTX_free(context)
    }

    /// So much went under this key that another one is due.
    var isWorn: Bool { number >= recordsPerKey }
    /// So little did that a change makes no sense.
    var isFresh: Bool { number < Self.recordsPerKeyMin }

    /// Goes over to the next key; false when there is no memory.
    mutating func advance() -> Bool {
        secret.advance()
        guard let (context, nonce) = unsafe secret.keys() else { return false }
        unsafe EVP_CIPHER_CTX_free(self.context)
        unsafe self.context = unsafe context
        unsafe memory.copyMemory(from: nonce, byteCount: 12)
        number = 0
        return true
    }

    /// Writes the nonce of the next record behind that of the first.
    private mutating func takeNonce() -> UnsafePointer<UInt8> {
        let nonce = unsafe memory + 12
        unsafe nonce.copyMemory(from: memory, byteCount: 12)
        let tail = unsafe nonce.loadUnaligned(fromByteOffset: 4, as: UInt64.self)
        unsafe nonce.storeBytes(of: tail ^ number.bigEndian, toByteOffset: 4, as: UInt64.self)
        number += 1
        return unsafe UnsafePointer(nonce.assumingMemoryBound(to: UInt8.self))
    }

    /// Appends the record of `content`, of at most `contentMax` bytes; false when OpenSSL fails.
    mutating func seal(
        _ content: UnsafeRawBufferPointer,
        as type: UInt8,
        to output: Ciphertext
    ) -> Bool {
        let nonce = unsafe takeNonce()
        return unsafe output.append(Self.headerSize + content.count + Self.overhead) { record in
            unsafe copenssl_seal(
                context,
                nonce,
                type,
                content.bindMemory(to: UInt8.self).baseAddress,
                Int32(content.count),
                record.bindMemory(to: UInt8.self).baseAddress
            ) == 1
        }
    }

    /// Decrypts the whole `record` to the front of `target`, which has room for it; the type of the content and its size, or
    /// nil when it is not genuine.
    mutating func open(
        _ record: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) -> (type: UInt8, count: Int)? {
        let nonce = unsafe takeNonce()
        let length = record.count - Self.headerSize
        let isGenuine = unsafe copenssl_open(
            context,
            nonce,
            record.bindMemory(to: UInt8.self).baseAddress,
            Int32(length),
            target.bindMemory(to: UInt8.self).baseAddress
        )
        guard isGenuine == 1 else { return nil }
        // The type is the last byte that is not padding.
        var last = length - Self.overhead
        while last > 0, unsafe target[last] == 0 { last -= 1 }
        return unsafe (target[last], last)
    }
}
