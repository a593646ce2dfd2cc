import Logging
import NetworkModel

/// The form of a log: lines for people, or one JSON object per line for machines.
package enum LogFormat: String, CaseIterable, Sendable {
    case text, json
}

/// One line of the log, before it is written down.
struct LogLine {
    /// What is longer is cut: a line stays a line, whatever somebody else put into a message.
    static let maximumBytes = 16_384

    var time: Timestamp
    var level: Logger.Level
    var label: String
    var message: String
    var metadata: Logger.Metadata

    /// The bytes with the line feed.
    func bytes(as format: LogFormat) -> [UInt8] {
        var text: String
        switch format {
        case .text: text = plain
        case .json: text = json
        }
        text += "\n"
        return Array(text.utf8)
    }

    /// `2026-02-03T04:05:06.789Z warning tieline-proxy: what happened key=value other="two words"`.
    private var plain: String {
        var text = "\(time.inMilliseconds) \(level) \(label): "
        Self.escape(Self.cut(message), quotes: false, into: &text)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let value = Self.cut("\(value)")
            text += " \(key)="
            guard value.isEmpty || value.contains(where: { " \"=".contains($0) }) else {
                Self.escape(value, quotes: false, into: &text)
                continue
            }
            text += "\""
            Self.escape(value, quotes: true, into: &text)
            text += "\""
        }
        return text
    }

    /// `{"time":"2026-02-03T04:05:06.789Z","level":"warning","logger":"tieline-proxy","message":"...","key":"value"}`.
    private var json: String {
        let own = [
            ("time", time.inMilliseconds), ("level", "\(level)"), ("logger", label),
            ("message", message),
        ]
        let reserved = Set(own.map(\.0))
        let others = metadata.sorted { $0.key < $1.key }
            .map { (reserved.contains($0.key) ? "\($0.key)_" : $0.key, "\($0.value)") }
        var text = ""
        for (key, value) in own + others {
            text += text.isEmpty ? "{\"" : ",\""
            Self.escape(key, quotes: true, into: &text)
            text += "\":\""
            Self.escape(Self.cut(value), quotes: true, into: &text)
            text += "\""
        }
        return text + "}"
    }

    private static func cut(_ text: String) -> String {
        let count = text.utf8.count
        guard count > maximumBytes else { return text }
        return String(decoding: text.utf8.prefix(maximumBytes), as: UTF8.self)
            + " ... (\(count - maximumBytes) bytes more)"
    }

    /// As JSON does it; control characters never reach a terminal.
    private static func escape(_ text: String, quotes: Bool, into out: inout String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "\"" where quotes: out += "\\\""
            case "\\" where quotes: out += "\\\\"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
    }
}
