import NetworkModel

/// When the configuration of a site is compiled again: the later, the more the last round cost.
///
/// Each round writes every part of which something changed, so many Services that come one after another would write every
/// part again and again. Those that come while a round waits share the next one. What stands alone does not wait.
struct ConfigurationPace: Sendable {
    /// For each part that was written.
    static let gap: Duration = .milliseconds(25)
    static let longest: Duration = .seconds(1)

    private var next: Instant?

    /// A round has written so many parts.
    mutating func wrote(parts: Int, at now: Instant) {
        next = now + min(Self.gap * parts, Self.longest)
    }

    /// How long the next round has to wait; nil: it may begin.
    func wait(at now: Instant) -> Duration? {
        guard let next, now < next else { return nil }
        return next - now
    }
}
