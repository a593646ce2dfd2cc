/// Collects the samples of one scrape and writes them in the Prometheus text format.
package struct MetricsWriter {
    /// The value of every label of a series that was one too many.
    static let other = "other"
    /// More than any name that the API allows, so that two of them never become one.
    static let maximumLabelBytes = 256

    private enum Kind: String {
        case counter, gauge, histogram
    }

    private struct Family {
        let kind: Kind
        let help: String
        var series: [String: Sample] = [:]
    }

    private enum Sample {
        case number(Double)
        case histogram(Distribution)
    }

    private let maximumSeries: Int
    private var families: [String: Family] = [:]

    init(maximumSeries: Int) { self.maximumSeries = maximumSeries }

    /// A sample of a number that only grows; the name ends in `_total`.
    package mutating func counter(
        _ name: String,
        help: String,
        _ labels: Labels = [:],
        value: Double
    ) {
        add(name, .counter, help, labels, .number(value))
    }

    /// A sample of a number that goes up and down.
    package mutating func gauge(
        _ name: String,
        help: String,
        _ labels: Labels = [:],
        value: Double
    ) {
        add(name, .gauge, help, labels, .number(value))
    }

    /// How often values fell below each of some bounds.
    package mutating func histogram(
        _ name: String,
        help: String,
        _ labels: Labels = [:],
        _ distribution: Distribution
    ) {
        add(name, .histogram, help, labels, .histogram(distribution))
    }

    private mutating func add(
        _ name: String,
        _ kind: Kind,
        _ help: String,
        _ labels: Labels,
        _ sample: Sample
    ) {
        var family = families[name] ?? Family(kind: kind, help: help)
        // Two kinds under one name would make the whole scrape invalid.
        guard family.kind == kind else { return }
        var key = Self.text(of: labels)
        let other = Self.text(of: labels.mapValues { _ in Self.other })
        let count = family.series.count - (family.series[other] == nil ? 0 : 1)
        let isOneTooMany = family.series[key] == nil && count >= maximumSeries
        if isOneTooMany { key = other }
        switch (family.series[key], sample) {
        case (.number(let old)?, .number(let new)) where kind == .counter || isOneTooMany:
            family.series[key] = .number(old + new)
        case (.histogram(var old)?, .histogram(let new)):
            old.add(new)
            family.series[key] = .histogram(old)
        default:
            family.series[key] = sample
        }
        families[name] = family
    }

    func text() -> String {
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(Self.escaped(family.help, quotes: false))\n"
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, sample) in family.series.sorted(by: { $0.key < $1.key }) {
                switch sample {
                case .number(let value):
                    text += "\(name)\(Self.braces(labels)) \(Self.number(value))\n"
                case .histogram(let distribution):
                    text += Self.lines(name, labels, distribution)
                }
            }
        }
        return text
    }

    private static func lines(
        _ name: String,
        _ labels: String,
        _ distribution: Distribution
    ) -> String {
        var text = ""
        var below: UInt64 = 0
        let separator = labels.isEmpty ? "" : ","
        for (bound, count) in zip(distribution.bounds + [.infinity], distribution.counts) {
            below += count
            text += "\(name)_bucket{\(labels)\(separator)le=\"\(number(bound))\"} \(below)\n"
        }
        text += "\(name)_sum\(braces(labels)) \(number(distribution.sum))\n"
        return text + "\(name)_count\(braces(labels)) \(below)\n"
    }

    private static func braces(_ labels: String) -> String { labels.isEmpty ? "" : "{\(labels)}" }

    private static func text(of labels: Labels) -> String {
        labels.sorted { $0.key < $1.key }
            .map { "\($0.key)=\"\(escaped(bounded($0.value), quotes: true))\"" }
            .joined(separator: ",")
    }

    /// The value; one that is too long is cut at a character.
    private static func bounded(_ value: String) -> String {
        guard value.utf8.count > maximumLabelBytes else { return value }
        var cut = ""
        for character in value {
            guard cut.utf8.count + character.utf8.count <= maximumLabelBytes else { break }
            cut.append(character)
        }
        return cut
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            case _ where scalar.value < 32 || scalar.value == 127: result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func number(_ value: Double) -> String {
        if value == .infinity { return "+Inf" }
        if value == -.infinity { return "-Inf" }
        if value.isNaN { return "NaN" }
        if let whole = Int64(exactly: value) { return "\(whole)" }
        return "\(value)"
    }
}
