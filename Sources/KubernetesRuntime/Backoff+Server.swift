package import NetworkModel

extension Backoff {
    /// For connections to the API server: 0.8 s doubling to 30 s, half of it by chance.
    package static let server = Backoff(
        base: .milliseconds(800),
        maximum: .seconds(30),
        jitter: 0.5
    )

    /// For a server that takes no connection at all: asking costs it nothing, and being back early matters.
    package static let absence = Backoff(
        base: .milliseconds(800),
        maximum: .seconds(6),
        jitter: 0.5
    )

    /// For one item of a work queue: 5 ms doubling to 30 s, so that whatever the server refused for a while goes on soon
    /// after it takes it again.
    package static let item = Backoff(
        base: .milliseconds(5),
        maximum: .seconds(30),
        jitter: 0.2
    )

    /// The wait after one more failure, by chance.
    package mutating func next() -> Duration {
        var random = SystemRandomNumberGenerator()
        return next(using: &random)
    }
}
