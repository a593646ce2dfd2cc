import FoundationEssentials

/// A plain JSON object of the API: every field has a default, so a value is built by setting what matters.
///
/// `Core.Container { $0.name = "proxy"; $0.image = "tieline-proxy:dev" }`. A field that is added
/// later breaks no call.
package protocol Schema: Emptiable, Sendable {
    init()
}

extension Schema {
    /// Makes an empty value and lets `build` fill it in.
    package init<Failure: Error>(_ build: (inout Self) throws(Failure) -> Void) throws(Failure) {
        self.init()
        try build(&self)
    }

    package var isEmpty: Bool { self == Self() }
}

/// A value that need not be written when it is empty.
package protocol Emptiable: Codable, Equatable {
    init()
    var isEmpty: Bool { get }
}

extension String: Emptiable {}
extension Array: Emptiable where Element: Codable & Equatable {}
extension Dictionary: Emptiable where Key: Codable, Value: Codable & Equatable {}

/// A field that is left out of the JSON when empty, and empty when it is absent (or null) there.
///
/// Server-side apply owns what is sent, so an empty list is not sent: it would claim the field.
@propertyWrapper
package struct OmitEmpty<Value: Emptiable>: Codable, Equatable {
    package var wrappedValue: Value

    package init(wrappedValue: Value) { self.wrappedValue = wrappedValue }

    package init(from decoder: any Decoder) throws {
        wrappedValue = try Value(from: decoder)
    }

    package func encode(to encoder: any Encoder) throws {
        try wrappedValue.encode(to: encoder)
    }
}

// The synthesised coding of a struct calls these overloads for its wrapped fields.
extension KeyedDecodingContainer {
    package func decode<Value>(
        _ type: OmitEmpty<Value>.Type,
        forKey key: Key
    ) throws -> OmitEmpty<Value> {
        OmitEmpty(wrappedValue: try decodeIfPresent(Value.self, forKey: key) ?? Value())
    }
}

extension KeyedEncodingContainer {
    package mutating func encode<Value>(_ field: OmitEmpty<Value>, forKey key: Key) throws {
        guard !field.wrappedValue.isEmpty else { return }
        try encode(field.wrappedValue, forKey: key)
    }
}

/// A status: left out of the JSON when empty; a field of it that does not decode is taken for absent.
///
/// A status can always be made again from what is observed, so nothing that stands in it keeps the spec from being read.
@propertyWrapper
package struct Rebuildable<Value: Schema>: Codable, Equatable {
    package var wrappedValue: Value

    package init(wrappedValue: Value) { self.wrappedValue = wrappedValue }

    package init(from decoder: any Decoder) throws {
        wrappedValue = try Value(from: decoder)
    }

    package func encode(to encoder: any Encoder) throws {
        try wrappedValue.encode(to: encoder)
    }
}

extension Schema {
    /// The value with those of the fields that decode; the others are absent.
    package init(soundFieldsOf members: [String: JSONValue]) {
        func decoded(_ members: [String: JSONValue]) -> Self? {
            (try? JSONEncoder().encode(members)).flatMap {
                try? JSONDecoder().decode(Self.self, from: $0)
            }
        }
        self = decoded(members.filter { decoded([$0.key: $0.value]) != nil }) ?? Self()
    }
}

extension KeyedDecodingContainer {
    package func decode<Value>(
        _ type: Rebuildable<Value>.Type,
        forKey key: Key
    ) throws -> Rebuildable<Value> {
        do {
            return Rebuildable(
                wrappedValue: try decodeIfPresent(Value.self, forKey: key) ?? Value()
            )
        } catch {
            let members = try decode(JSONValue.self, forKey: key).object ?? [:]
            return Rebuildable(wrappedValue: Value(soundFieldsOf: members))
        }
    }
}

extension KeyedEncodingContainer {
    package mutating func encode<Value>(_ field: Rebuildable<Value>, forKey key: Key) throws {
        guard !field.wrappedValue.isEmpty else { return }
        try encode(field.wrappedValue, forKey: key)
    }
}

/// A list that the API may leave out or give as null, and that is always written.
@propertyWrapper
package struct ReadEmpty<Value: Emptiable>: Codable, Equatable {
    package var wrappedValue: Value

    package init(wrappedValue: Value) { self.wrappedValue = wrappedValue }

    package init(from decoder: any Decoder) throws {
        wrappedValue = try Value(from: decoder)
    }

    package func encode(to encoder: any Encoder) throws {
        try wrappedValue.encode(to: encoder)
    }
}

extension KeyedDecodingContainer {
    package func decode<Value>(
        _ type: ReadEmpty<Value>.Type,
        forKey key: Key
    ) throws -> ReadEmpty<Value> {
        ReadEmpty(wrappedValue: try decodeIfPresent(Value.self, forKey: key) ?? Value())
    }
}

extension OmitEmpty: Sendable where Value: Sendable {}
extension ReadEmpty: Sendable where Value: Sendable {}
extension Rebuildable: Sendable {}
