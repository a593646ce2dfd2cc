/// Free memory of a ring, lent to one read: in two pieces where it goes on at the ring's beginning.
@safe
package struct RingSpace {
    /// Filled before `second`.
    package let first: UnsafeMutableRawBufferPointer
    package let second: UnsafeMutableRawBufferPointer

    package init(
        first: UnsafeMutableRawBufferPointer,
        second: UnsafeMutableRawBufferPointer = unsafe .init(start: nil, count: 0)
    ) {
        unsafe self.first = first
        unsafe self.second = second
    }

    /// The bytes of both.
    package var count: Int { unsafe first.count + second.count }
}
