/// What a loop has many of, each with a seat: a row of references, for a table by their identities takes three times as much.
struct Seats<Member> {
    private var seats: [Member?] = []
    private var free: [UInt32] = []

    var count: Int { seats.count - free.count }
    var isEmpty: Bool { count == 0 }

    /// Every member there is, in the order of their seats.
    var all: [Member] { seats.compactMap { $0 } }

    /// Who sits there.
    subscript(seat: UInt32) -> Member? { seat < seats.count ? seats[Int(seat)] : nil }

    /// Gives the seat.
    mutating func add(_ member: Member) -> UInt32 {
        guard let seat = free.popLast() else {
            seats.append(member)
            return UInt32(seats.count - 1)
        }
        seats[Int(seat)] = member
        return seat
    }

    /// Somebody sits there.
    mutating func remove(at seat: UInt32) {
        seats[Int(seat)] = nil
        free.append(seat)
    }

    mutating func removeAll() { self = Seats() }
}
