/// A point in time, or none, in the eight bytes of the former: where there is one for every connection.
package struct ShortInstant: Hashable, Sendable {
    /// The end of time stands for none.
    private var nanoseconds = UInt64.max

    package init(_ instant: Instant? = nil) { self.instant = instant }

    package var instant: Instant? {
        get { nanoseconds == .max ? nil : Instant(nanoseconds: nanoseconds) }
        set { nanoseconds = newValue?.nanoseconds ?? .max }
    }
}
