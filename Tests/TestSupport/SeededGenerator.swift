import Foundation

/// SplitMix64: the same schedule for the same seed, everywhere.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// Seeds for the arguments of a test: a few that are the same in every run, and new ones.
///
/// As arguments they stand in the name of the case, which is printed before it runs; `TIELINE_TEST_SEED` is taken instead.
package enum Seeds {
    package static func some(_ count: Int = 4) -> [UInt64] {
        if let seed = ProcessInfo.processInfo.environment["TIELINE_TEST_SEED"].flatMap(UInt64.init)
        {
            return [seed]
        }
        return more(count)
    }

    private static func more(_ count: Int) -> [UInt64] {
        (0..<UInt64(count / 2)).map { $0 }
            + (count / 2..<count).map { _ in UInt64.random(in: 100 ... .max) }
    }
}
