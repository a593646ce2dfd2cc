import Glibc

/// The options that a connected socket has not got yet: most connections end before they begin to matter.
///
/// What a listener accepts has all options from it. What was connected has SO_LINGER {1, 0} only.
struct LateOptions {
    fileprivate var lacksNoDelay: Bool
    fileprivate var lacksKeepalive: Bool
    fileprivate var hasWritten = false

    /// Of a socket that was accepted.
    static let none = LateOptions(lacksNoDelay: false, lacksKeepalive: false)
    /// Of a socket that was connected.
    static let all = LateOptions(lacksNoDelay: true, lacksKeepalive: true)
}

// Both calls fail only when the connection is gone, as the next read or write tells.
extension FileDescriptor {
    /// To be called before each write: the kernel would hold the second small one back until the first is acknowledged.
    func willWrite(_ late: inout LateOptions) {
        if late.hasWritten, late.lacksNoDelay {
            late.lacksNoDelay = false
            try? setNoDelay()
        }
        late.hasWritten = true
    }

    /// To be called before the connection could have been idle for as long as keepalive waits: the kernel counts from
    /// when it last heard of the other end, as if it had had the option all the time.
    func willRest(_ late: inout LateOptions) {
        guard late.lacksKeepalive else { return }
        late.lacksKeepalive = false
        try? setKeepalive()
    }
}
