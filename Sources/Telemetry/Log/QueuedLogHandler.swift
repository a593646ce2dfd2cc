package import Logging
import NetworkModel

/// Gives what is logged to a queue; nobody who logs waits for the log.
package struct QueuedLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let queue: LogQueue

    package init(label: String, level: Logger.Level, queue: LogQueue) {
        self.label = label
        self.queue = queue
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let given = event.metadata { all.merge(given) { _, new in new } }
        if let error = event.error { all["error"] = "\(error)" }
        queue.append(
            LogLine(
                time: .now(),
                level: event.level,
                label: label,
                message: "\(event.message)",
                metadata: all
            )
        )
    }
}

/// The log of a process: its standard error.
package struct ProcessLog: Sendable {
    package let queue: LogQueue

    /// Makes it the log of every logger of the process; once, before the first one logs.
    package static func start(level: Logger.Level, format: LogFormat) -> ProcessLog {
        let log = ProcessLog(queue: LogQueue(descriptor: 2, format: format))
        LoggingSystem.bootstrap { label in
            QueuedLogHandler(label: label, level: level, queue: log.queue)
        }
        return log
    }
}

extension MetricsRegistry {
    /// Adds how many lines of the log were lost.
    package func addLogMetrics(_ log: ProcessLog) {
        addCollector { writer in
            writer.counter(
                "tieline_log_lines_dropped_total",
                help:
                    "Lines of the log that were dropped because nobody read them or they could not be written.",
                value: Double(log.queue.dropped)
            )
        }
    }
}
