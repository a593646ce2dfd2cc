import Glibc

/// How many descriptors the process may still open, so that clients cannot take those that lanes need.
enum DescriptorBudget {
    /// What service listeners leave for lanes, connections to servers, files and the HTTP endpoint.
    static let reserve = 128

    /// The soft limit of the process; read once, since nothing of ours changes it later.
    private static let limit: Int = {
        var limits = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else {
            return 1024
        }
        return Int(clamping: limits.rlim_cur)
    }()

    /// True when one more client, with the server's socket that it may need, fits.
    static var hasRoomForClient: Bool {
        FileDescriptor.openCount + 2 <= limit - min(reserve, limit / 4)
    }
}
