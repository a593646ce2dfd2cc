import Synchronization

/// The labels of one series.
package typealias Labels = [String: String]

/// All metrics of a process.
///
/// Instruments are made once and kept by who counts; collectors are asked at every scrape. The number of series of one
/// metric is bounded: what comes after goes to one series whose label values are all `other`.
package final class MetricsRegistry: Sendable {
    package static let maximumSeries = 1000

    private enum Instrument {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
    }

    private struct Family {
        let help: String
        var series: [Labels: Instrument] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var collectors: [@Sendable (inout MetricsWriter) -> Void] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// The counter of this name and these labels, made when it is not there yet.
    package func counter(_ name: String, help: String, labels: Labels = [:]) -> Counter {
        let found = instrument(name, help, labels) { .counter(Counter()) }
        guard case .counter(let counter) = found else { return Counter() }
        return counter
    }

    /// The gauge of this name and these labels, made when it is not there yet.
    package func gauge(_ name: String, help: String, labels: Labels = [:]) -> Gauge {
        let found = instrument(name, help, labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = found else { return Gauge() }
        return gauge
    }

    /// The histogram of this name and these labels, made when it is not there yet.
    package func histogram(
        _ name: String,
        help: String,
        labels: Labels = [:],
        bounds: [Double] = Distribution.latencyBounds
    ) -> Histogram {
        let found = instrument(name, help, labels) { .histogram(Histogram(bounds: bounds)) }
        guard case .histogram(let histogram) = found else { return Histogram(bounds: bounds) }
        return histogram
    }

    /// Adds a function that is asked at every scrape.
    package func addCollector(_ collect: @escaping @Sendable (inout MetricsWriter) -> Void) {
        state.withLock { $0.collectors.append(collect) }
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    package func text() -> String {
        let (families, collectors) = state.withLock { ($0.families, $0.collectors) }
        var writer = MetricsWriter(maximumSeries: Self.maximumSeries)
        for (name, family) in families {
            for (labels, instrument) in family.series {
                switch instrument {
                case .counter(let counter):
                    writer.counter(name, help: family.help, labels, value: Double(counter.value))
                case .gauge(let gauge):
                    writer.gauge(name, help: family.help, labels, value: gauge.value)
                case .histogram(let histogram):
                    writer.histogram(name, help: family.help, labels, histogram.reading)
                }
            }
        }
        for collect in collectors { collect(&writer) }
        return writer.text()
    }

    private func instrument(
        _ name: String,
        _ help: String,
        _ labels: Labels,
        _ make: () -> Instrument
    ) -> Instrument {
        state.withLock { state in
            var family = state.families[name] ?? Family(help: help)
            var labels = labels
            if family.series[labels] == nil, family.series.count >= Self.maximumSeries {
                labels = labels.mapValues { _ in MetricsWriter.other }
            }
            let instrument = family.series[labels] ?? make()
            family.series[labels] = instrument
            state.families[name] = family
            return instrument
        }
    }
}
