/// A time of day, to the microsecond; as a text in the form of RFC 3339.
///
/// Made from a reading of the clock that the caller takes: nothing here asks for "now".
package struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    package let microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    package init(seconds: Int64) { self.microseconds = seconds &* 1_000_000 }

    /// Whole seconds since 1970, rounded down.
    package var seconds: Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// The nearest multiple of `unit`.
    package func rounded(to unit: Duration) -> Timestamp {
        let unit = max(unit.wholeNanoseconds / 1000, 1)
        let rest = microseconds % unit
        return Timestamp(microseconds: microseconds - rest + (2 * rest >= unit ? unit : 0))
    }

    /// The beginning of 1970; where a time may be unknown: not known.
    package static let epoch = Timestamp(microseconds: 0)

    package static func < (left: Self, right: Self) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The time from `earlier` to `later`.
    package static func - (later: Self, earlier: Self) -> Duration {
        .microseconds(later.microseconds &- earlier.microseconds)
    }

    package static func + (time: Self, duration: Duration) -> Self {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            microseconds: time.microseconds &+ seconds &* 1_000_000
                &+ attoseconds / 1_000_000_000_000
        )
    }
}

extension Timestamp: LosslessStringConvertible {
    /// Reads `2026-11-22T22:17:00Z`, with an optional fraction and `Z` or `+hh:mm`.
    package init?(_ text: String) {
        var reader = DigitReader(text.utf8)
        guard let year = reader.number(4), reader.skip("-"),
            let month = reader.number(2), (1...12).contains(month), reader.skip("-"),
            let day = reader.number(2), (1...31).contains(day),
            reader.skip("T") || reader.skip("t"),
            let hour = reader.number(2), hour < 24, reader.skip(":"),
            let minute = reader.number(2), minute < 60, reader.skip(":"),
            let second = reader.number(2), second < 61
        else { return nil }
        let fraction = reader.skip(".") ? reader.fraction() : 0
        guard let fraction, let offset = reader.zone(), reader.isAtEnd else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        let time = Int64(hour * 3600 + minute * 60 + second - offset)
        microseconds = (days * 86_400 + time) * 1_000_000 + fraction
    }

    /// With whole seconds, as in `metadata.creationTimestamp` and conditions.
    package var description: String { text(digits: 0) }

    /// With six digits after the point, as Leases and Events want it.
    package var precise: String { text(digits: 6) }

    /// With three digits after the point, as logs have it.
    package var inMilliseconds: String { text(digits: 3) }

    private func text(digits: Int) -> String {
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        let (year, month, day) = Self.civil(days: days)
        var text = pad(year, 4) + "-" + pad(month, 2) + "-" + pad(day, 2) + "T"
        text += pad(rest / 3600, 2) + ":" + pad(rest / 60 % 60, 2) + ":" + pad(rest % 60, 2)
        if digits > 0 { text += "." + pad(microseconds - seconds * 1_000_000, 6).prefix(digits) }
        return text + "Z"
    }

    // Days from the civil calendar and back, in eras of 400 years that begin on 1 March.
    private static func days(year: Int, month: Int, day: Int) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }

    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

private func pad(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// Reads the fixed-width pieces of a time stamp.
private struct DigitReader {
    private var rest: Substring.UTF8View

    init(_ text: String.UTF8View) { rest = text[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest.removeFirst()
        return true
    }

    mutating func number(_ width: Int) -> Int? {
        let digits = rest.prefix(width)
        guard digits.count == width else { return nil }
        var value = 0
        for digit in digits {
            guard (48...57).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 48)
        }
        rest.removeFirst(width)
        return value
    }

    /// Microseconds of a fraction with any number of digits; later digits are cut off.
    mutating func fraction() -> Int64? {
        let digits = rest.prefix { (48...57).contains($0) }
        guard !digits.isEmpty else { return nil }
        var value: Int64 = 0
        var scale: Int64 = 100_000
        for digit in digits {
            value += Int64(digit - 48) * scale
            scale /= 10
        }
        rest.removeFirst(digits.count)
        return value
    }

    /// Seconds east of Greenwich.
    mutating func zone() -> Int? {
        if skip("Z") || skip("z") { return 0 }
        let sign = skip("+") ? 1 : -1
        guard sign == 1 || skip("-"), let hours = number(2), skip(":"), let minutes = number(2)
        else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }
}
