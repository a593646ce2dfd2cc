import KubernetesAPI
import KubernetesRuntime
import Logging
import NetworkModel
import Synchronization
import Telemetry

/// What the controller reads, and whether it can: told by whoever reads, asked by whoever tells.
///
/// Nothing waits for it: it decides neither who leads nor what is done.
final class Inputs: Sendable {
    private let health = Mutex(InputHealth())
    private let clock = MonotonicClock()
    private let logger: Logger
    private let noted: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init(logger: Logger) {
        self.logger = logger
        (noted, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func note(_ input: Input, _ news: ReflectorHealth) {
        if health.withLock({ $0.note(input, news, at: clock.now, .now()) }) { wake.yield() }
    }

    func forget(_ input: Input) {
        health.withLock { $0.forget(input) }
        wake.yield()
    }

    /// No Secret of that namespace is read any more.
    func forgetSecrets(of namespace: String) {
        health.withLock { $0.forgetSecrets(of: namespace) }
        wake.yield()
    }

    /// What is told a Site; nil when everything that concerns it can be read.
    func message(forSiteIn namespace: String) -> String? {
        InputAdvice.text(health.withLock { $0.shown(in: namespace) }, isOfOneSite: true)
    }

    /// What is told those who look at the controller.
    var problem: String? { InputAdvice.text(health.withLock(\.told), isOfOneSite: false) }

    /// A kind, with why it cannot be read just now.
    func describe(_ kind: String) -> String {
        let input = Input.kind(kind)
        guard let reason = health.withLock({ $0.reason(input) }) else { return kind }
        return "\(kind) (\(InputAdvice.advice(input, reason)))"
    }

    /// For how many seconds the first of some inputs has been told to be unreadable; 0 while none is.
    func seconds(_ isOfKind: (Input) -> Bool) -> Double {
        let (told, now) = (health.withLock(\.told), clock.now)
        let first = told.filter { isOfKind($0.key) }.map(\.value.since).min()
        return first.map { Double((now - $0).wholeNanoseconds) / 1_000_000_000 } ?? 0
    }

    /// Tells what becomes unreadable and readable until the task is canceled: the log, and by `concern` the Sites.
    func run(_ concern: @Sendable (InputHealth.Concern) -> Void) async {
        for await _ in noted {
            while !Task.isCancelled {
                let news = health.withLock { $0.settle(at: clock.now) }
                log(news)
                if news.concerned != .none { concern(news.concerned) }
                guard let next = news.next else { break }
                // Short sleeps: what is noted meanwhile may be due earlier.
                let wait = min(max(next - clock.now, Self.shortestWait), Self.longestWait)
                guard (try? await Task.sleep(for: wait)) != nil else { return }
            }
        }
    }

    private static let shortestWait: Duration = .milliseconds(20)
    private static let longestWait: Duration = .seconds(1)

    private func log(_ news: InputHealth.News) {
        let told = health.withLock(\.told)
        let begun = told.filter { news.begun.contains($0.key) }
        if let text = InputAdvice.text(begun, isOfOneSite: false) { logger.warning("\(text)") }
        guard !news.ended.isEmpty else { return }
        let names = news.ended.map { "\(InputAdvice.name($0.input)) (\($0.lasted.inSeconds) s)" }
        logger.notice("can read again: \(names.sorted().joined(separator: ", "))")
    }
}

extension Duration {
    fileprivate var inSeconds: Int64 { components.seconds }
}

extension Inputs {
    /// One gauge for each kind that is followed, and one for each sort of what is read by its name.
    func addMetrics(to metrics: MetricsRegistry, kinds: [String]) {
        metrics.addCollector { [self] writer in
            func write(_ kind: String, _ isOfKind: (Input) -> Bool) {
                writer.gauge(
                    "tieline_controller_unreadable_seconds",
                    help:
                        "For how long the controller has not been able to read a kind; 0 while it can.",
                    ["kind": kind],
                    value: seconds(isOfKind)
                )
            }
            for kind in kinds { write(kind) { $0 == .kind(kind) } }
            write("secrets") { if case .secret = $0 { true } else { false } }
            write("snapshots") { if case .gateway = $0 { true } else { false } }
        }
    }
}
