import KubernetesAPI
import NetworkAPI
import Yams

/// What kubectl makes of the scalars of YAML.
///
/// kubectl reads YAML 1.1 with its own exceptions (go-yaml v2 by way of sigs.k8s.io/yaml): `yes` and `off` are booleans, `010` is 8,
/// but numbers are never to the base 60, and dates stay text.
enum YAMLScalar {
    static func value(_ scalar: Node.Scalar) -> JSONValue {
        // The tag as it stands in the file: `Node.tag` would put Yams' own guess in its place.
        let tag = scalar.tag.description
        switch tag {
        case "": return scalar.style == .plain ? plain(scalar.string) : .string(scalar.string)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool",
            "tag:yaml.org,2002:null":
            return plain(scalar.string)
        default: return .string(scalar.string)
        }
    }

    /// The whole number that this is, as JSON has it: `1.0` is one; nil when it is none.
    static func wholeNumber(_ scalar: Node.Scalar) -> Int64? {
        switch value(scalar) {
        case .integer(let number): number
        case .number(let number): Int64(exactly: number)
        default: nil
        }
    }

    /// A scalar without quotes and tag.
    static func plain(_ text: String) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
            return .bool(true)
        case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
            return .bool(false)
        default: break
        }
        guard let first = text.utf8.first else { return .string(text) }
        switch first {
        case UInt8(ascii: "."):
            return isDecimal(text) ? float(text) ?? .string(text) : .string(text)
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let digits = text.filter { $0 != "_" }
            return integer(digits) ?? (isDecimal(digits) ? float(digits) : nil) ?? .string(text)
        default: return .string(text)
        }
    }

    /// As Go's `strconv.ParseInt` with base 0 reads it.
    private static func integer(_ text: String) -> JSONValue? {
        var digits = text[...]
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits.removeFirst() }
        var radix = 10
        if digits.hasPrefix("0"), digits.count > 1 {
            let mark = digits.dropFirst().first
            switch mark {
            case "x", "X": radix = 16
            case "b", "B": radix = 2
            case "o", "O": radix = 8
            default: radix = 8
            }
            digits = digits.dropFirst("xXbBoO".contains(mark ?? " ") ? 2 : 1)
        }
        // A second sign would be taken.
        guard let first = digits.first, first != "+", first != "-" else { return nil }
        if let number = Int64((isNegative ? "-" : "") + digits, radix: radix) {
            return .integer(number)
        }
        guard !isNegative, let number = UInt64(digits, radix: radix) else { return nil }
        return .number(Double(number))
    }

    /// Whether it is a decimal number with an optional fraction and exponent, at least one digit before the exponent.
    private static func isDecimal(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        func takeDigits() -> Int {
            let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
            rest = rest.dropFirst(count)
            return count
        }
        func take(_ characters: String) -> Bool {
            guard let next = rest.first, characters.utf8.contains(next) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("+-")
        let whole = takeDigits()
        let hasPoint = take(".")
        let fraction = hasPoint ? takeDigits() : 0
        guard whole + fraction > 0 else { return false }
        if take("eE") {
            _ = take("+-")
            guard takeDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }

    private static func float(_ text: String) -> JSONValue? {
        guard let number = Double(text), number.isFinite else { return nil }
        return .number(number)
    }
}
