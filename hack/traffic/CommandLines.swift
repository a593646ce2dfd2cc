import Glibc

/// The lines that arrive on standard input.
final class CommandLines {
    private var input: [UInt8] = []
    /// Standard input was closed.
    private(set) var ended = false

    /// Reads what is there; called when the poller names descriptor 0.
    func read() {
        var buffer: [UInt8] = Array(repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes {
            unsafe Glibc.read(0, $0.baseAddress, $0.count)
        }
        if count > 0 { input += buffer[..<count] } else { ended = true }
    }

    /// The next complete line, or nil; with `wanted`, only if it is this one.
    func next(_ wanted: String? = nil) -> String? {
        guard let end = input.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = String(decoding: input[..<end], as: UTF8.self)
        guard wanted == nil || wanted == line else { return nil }
        input.removeSubrange(...end)
        return line
    }
}
