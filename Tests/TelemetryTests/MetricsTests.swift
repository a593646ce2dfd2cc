import Testing

@testable import Telemetry

@Suite("Metrics")
struct MetricsTests {
    @Test("instruments and collectors are written as Prometheus reads them")
    func text() {
        let registry = MetricsRegistry()
        registry.counter("b_total", help: "Of b.", labels: ["service": "web"]).add(3)
        registry.counter("b_total", help: "Of b.", labels: ["service": "web"]).add()
        let histogram = registry.histogram("c_seconds", help: "Of c.", bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 7, .nan] { histogram.observe(value) }
        registry.addCollector { writer in
            writer.gauge("a", help: "Of a.", ["x": "1", "b": "2"], value: 0.5)
        }
        #expect(
            registry.text() == """
                # HELP a Of a.
                # TYPE a gauge
                a{b="2",x="1"} 0.5
                # HELP b_total Of b.
                # TYPE b_total counter
                b_total{service="web"} 4
                # HELP c_seconds Of c.
                # TYPE c_seconds histogram
                c_seconds_bucket{le="0.1"} 2
                c_seconds_bucket{le="1"} 3
                c_seconds_bucket{le="+Inf"} 4
                c_seconds_sum 7.65
                c_seconds_count 4

                """
        )
    }

    @Test("label values are escaped and bounded")
    func labels() {
        var writer = MetricsWriter(maximumSeries: 10)
        writer.gauge("a", help: "x\ny", ["l": "q\"b\\n\nc\u{7}"], value: 1)
        #expect(writer.text().contains("a{l=\"q\\\"b\\\\n\\nc?\"} 1\n"))
        #expect(writer.text().contains("# HELP a x\\ny\n"))
        writer.gauge("b", help: "", ["l": String(repeating: "é", count: 500)], value: 1)
        #expect(writer.text().contains("b{l=\"" + String(repeating: "é", count: 128) + "\"} 1\n"))
    }

    @Test("series beyond the bound go to one that is named other")
    func bounded() {
        var writer = MetricsWriter(maximumSeries: 2)
        for index in 0..<5 { writer.counter("a", help: "", ["l": "\(index)"], value: 1) }
        #expect(writer.text().contains("a{l=\"other\"} 3\n"))
        for index in 0..<5 {
            var distribution = Distribution(bounds: [1])
            distribution.observe(Double(index))
            writer.histogram("h", help: "", ["l": "\(index)"], distribution)
        }
        #expect(writer.text().contains("h_bucket{l=\"other\",le=\"+Inf\"} 3\n"))
        #expect(writer.text().contains("h_sum{l=\"other\"} 9\n"))
        let registry = MetricsRegistry()
        for index in 0..<(MetricsRegistry.maximumSeries + 7) {
            registry.counter("a", help: "", labels: ["l": "\(index)"]).add()
        }
        #expect(registry.text().contains("a{l=\"other\"} 7\n"))
    }

    @Test("the process's own figures are there")
    func process() throws {
        let registry = MetricsRegistry()
        registry.addProcessMetrics()
        let text = registry.text()
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_threads"] {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") })
            #expect(try #require(Double(line.dropFirst(name.count + 1))) > 0)
        }
    }

    @Test("secrets are compared whole")
    func secrets() {
        #expect(constantTimeEquals("abc", "abc"))
        for (given, expected) in [
            ("abd", "abc"), ("ab", "abc"), ("abcabc", "abc"), ("", "abc"), ("", ""), ("a", ""),
        ] {
            #expect(!constantTimeEquals(given, expected), "\(given) \(expected)")
        }
    }
}
