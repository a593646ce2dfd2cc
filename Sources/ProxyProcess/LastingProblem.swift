import SiteFolder

/// A problem that lasts is told once for each cause, and once more when it is over.
struct LastingProblem: Equatable, Sendable {
    enum News: Equatable, Sendable {
        /// With the words of the first that met it.
        case began(String)
        case ended
    }

    /// The same cause meets another file each time.
    private var cause: String?

    var isLasting: Bool { cause != nil }

    /// Takes what became of the last attempt; returns what is to be told of it.
    mutating func take(_ error: (any Error)?) -> News? {
        let cause = error.map { ($0 as? FileProblem)?.cause ?? "\($0)" }
        guard cause != self.cause else { return nil }
        self.cause = cause
        return error.map { .began("\($0)") } ?? .ended
    }
}
