/// How long a connection that lost its path waits for another one before it is reset, at either end.
package enum ResumeGrace {
    package static let standard: Duration = .seconds(10)
    package static let range: ClosedRange<Duration> = .seconds(1) ... .seconds(300)
}
