extension UInt64 {
    /// The most that one proxy may say to have counted: sums over 65,535 proxies fit into 64 bits.
    package static let counterLimit: UInt64 = 1 << 48
}
