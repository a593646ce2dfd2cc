package import FoundationEssentials

/// What a watch reports.
package enum WatchEvent<Object: KubernetesObject>: Equatable, Sendable {
    case added(Object)
    case modified(Object)
    case deleted(Object)
    /// Everything up to this version was sent; `endsInitialEvents` closes the initial state.
    case bookmark(resourceVersion: String, endsInitialEvents: Bool)
    /// The watch is over, for this reason.
    case failed(APIStatus)
    /// The object changed to something that this program does not understand.
    case undecodable(Undecodable, isDeletion: Bool)
}

/// Why the bytes of a watch cannot be read on.
package enum WatchDecodingError: Error, Equatable, Sendable {
    /// A line is longer than the bound.
    case lineTooLong(limit: Int)
    /// A line is no event.
    case malformed(String)
}

/// Cuts the bytes of a watch into lines and decodes each to an event.
///
/// Bytes may be cut anywhere. After an error the decoder is of no more use: the caller lists again.
package struct WatchDecoder<Object: KubernetesObject> {
    private var pending = Data()
    /// Bytes of `pending` already searched for the end of a line.
    private var searched = 0
    private let lineLimit: Int
    private let decoder = JSONDecoder()

    /// - Parameter lineLimit: The longest line accepted, in bytes; also bounds the memory held.
    package init(lineLimit: Int = 16 << 20) { self.lineLimit = lineLimit }

    /// Takes bytes in and appends the events that they complete, in order, also those before an error.
    package mutating func decode(
        _ chunk: Data,
        into events: inout [WatchEvent<Object>]
    ) throws(WatchDecodingError) {
        pending.append(chunk)
        var start = pending.startIndex
        var from = start + searched
        while let end = Self.lineEnd(in: pending, from: from) {
            guard end - start <= lineLimit else { throw .lineTooLong(limit: lineLimit) }
            if let event = try event(pending[start..<end]) { events.append(event) }
            start = end + 1
            from = start
        }
        pending = start == pending.startIndex ? pending : Data(pending[start...])
        searched = pending.count
        guard pending.count <= lineLimit else { throw .lineTooLong(limit: lineLimit) }
    }

    /// Bytes of memory are looked through many times as fast as `Data`.
    private static func lineEnd(in data: Data, from start: Int) -> Int? {
        let offset = unsafe data[start...].withUnsafeBytes { unsafe $0.firstIndex(of: 10) }
        return offset.map { start + $0 }
    }

    private func event(_ line: Data) throws(WatchDecodingError) -> WatchEvent<Object>? {
        guard line.contains(where: { $0 != 32 && $0 != 13 && $0 != 9 }) else { return nil }
        do {
            return try decoder.decode(Line<Object>.self, from: line).event
        } catch {
            throw .malformed(describe(error))
        }
    }
}

/// One line of a watch.
private struct Line<Object: KubernetesObject>: Decodable {
    let event: WatchEvent<Object>

    private enum Key: String, CodingKey { case type, object }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let type = try container.decode(String.self, forKey: .type)
        switch type {
        case "ADDED": event = try Self.object(container, WatchEvent.added)
        case "MODIFIED": event = try Self.object(container, WatchEvent.modified)
        case "DELETED":
            event = try Self.object(container, isDeletion: true, WatchEvent.deleted)
        case "BOOKMARK": event = try Self.bookmark(container)
        case "ERROR": event = .failed(try container.decode(APIStatus.self, forKey: .object))
        default:
            throw DecodingError.dataCorruptedError(
                forKey: .type,
                in: container,
                debugDescription: "unknown event type"
            )
        }
    }

    private static func object(
        _ container: KeyedDecodingContainer<Key>,
        isDeletion: Bool = false,
        _ make: (Object) -> WatchEvent<Object>
    ) throws -> WatchEvent<Object> {
        switch try container.decode(Attempt<Object>.self, forKey: .object).result {
        case .success(let object): make(object)
        case .failure(let failure): .undecodable(failure, isDeletion: isDeletion)
        }
    }

    private static func bookmark(
        _ container: KeyedDecodingContainer<Key>
    ) throws -> WatchEvent<Object> {
        let metadata = try container.decode(PartialObject.self, forKey: .object).metadata
        guard let version = metadata.resourceVersion else {
            throw DecodingError.dataCorruptedError(
                forKey: .object,
                in: container,
                debugDescription: "a bookmark without resourceVersion"
            )
        }
        return .bookmark(
            resourceVersion: version,
            endsInitialEvents: metadata.annotations["k8s.io/initial-events-end"] == "true"
        )
    }
}
