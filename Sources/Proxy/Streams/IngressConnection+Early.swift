import NetworkModel
import Streaming

/// The client's first bytes, which travel with OPEN.
extension IngressConnection {
    /// For how long a client is waited for that says nothing: most have sent their bytes with the handshake's end.
    private static let patience: Duration = .milliseconds(20)

    /// Reads what is there; without anything the client is waited for.
    func listen() {
        guard part.watch(for: self, on: engine.loop) else { return handle(.start) }
        stream.flow.allowEarly()
        handle(readEarly() ? .start : .listen(for: Self.patience))
    }

    /// Something has come from a client that is waited for.
    func spoke() {
        guard case .listening = stream.state, readEarly() else { return }
        handle(.spoke)
    }

    /// False when nothing has come yet.
    private func readEarly() -> Bool {
        var asked = 0
        var result = IOResult.wouldBlock
        _ = stream.flow.fillEarly { space in
            asked = space.count
            result = part.socket?.read(into: space) ?? .wouldBlock
            return result.count
        }
        switch result {
        case .bytes, .wouldBlock:
            part.noteRead(result, of: asked)
            return stream.flow.sender.hasRead
        // Whoever reads next meets it again.
        case .endOfFile, .failed: return true
        }
    }
}
