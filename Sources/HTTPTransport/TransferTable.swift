import CLibcurl
import Glibc

/// The transfers of one multi handle; made and used on the loop's thread only.
@safe final class TransferTable {
    /// How a transfer ends that curl did not end.
    enum Ending {
        case cancelled
        case failed(TransportError)
    }

    private let multi: UnsafeMutableRawPointer?
    private var transfers: [UInt64: Transfer] = [:]
    private var identifiers: [UnsafeMutableRawPointer: UInt64] = unsafe [:]
    private var nextIdleCheck = ContinuousClock.now

    /// How often silence is looked for, and how long a quiet round may last.
    private static let round = Duration.seconds(5)

    init(multi: UInt) { unsafe self.multi = UnsafeMutableRawPointer(bitPattern: multi) }

    var count: Int { transfers.count }

    func start(_ id: UInt64, _ request: HTTPRequest, _ exchange: Exchange) {
        guard let transfer = Transfer(request, exchange: exchange) else { return }
        let code = unsafe curl_multi_add_handle(multi, transfer.easy)
        guard code == CURLM_OK else {
            let message = unsafe String(cString: curl_multi_strerror(code))
            exchange.finish(.failure(TransportError(.unavailable, message)))
            return
        }
        transfers[id] = transfer
        unsafe identifiers[transfer.easy] = id
    }

    /// Takes a transfer out; none of that name is fine, it may just have ended.
    func end(_ id: UInt64, _ ending: Ending) {
        guard let transfer = remove(id) else { return }
        if case .failed(let error) = ending { transfer.exchange.finish(.failure(error)) }
    }

    func endAll(_ error: TransportError) {
        for id in transfers.keys { end(id, .failed(error)) }
    }

    /// Moves bytes, and ends what has finished or fallen silent.
    func perform() {
        var running: Int32 = 0
        unsafe curl_multi_perform(multi, &running)
        var code = CURLE_OK
        while let easy = unsafe clibcurl_multi_next_finished(multi, &code) {
            guard let id = unsafe identifiers[easy] else { continue }
            if code == CURLE_OPERATION_TIMEDOUT { suspectConnection(of: id) }
            remove(id)?.finish(code)
        }
        endIdle()
    }

    /// Sleeps until a socket is ready, curl's next timer, or somebody wakes the handle.
    func wait() {
        unsafe curl_multi_poll(multi, nil, 0, Int32(Self.round.components.seconds * 1000), nil)
    }

    func close() { unsafe curl_multi_cleanup(multi) }

    private func remove(_ id: UInt64) -> Transfer? {
        guard let transfer = transfers.removeValue(forKey: id) else { return nil }
        unsafe curl_multi_remove_handle(multi, transfer.easy)
        unsafe identifiers.removeValue(forKey: transfer.easy)
        return transfer
    }

    /// Ends the connection of a transfer that timed out, unless others on it hear their peer.
    ///
    /// Multiplexed connections outlive their transfers: a frozen one would be used again and again.
    private func suspectConnection(of id: UInt64) {
        guard let transfer = transfers[id] else { return }
        let socket = transfer.socket
        guard socket >= 0 else { return }
        let isAlive = transfers.contains { other, candidate in
            other != id && candidate.socket == socket && candidate.lastSign > transfer.lastSign
        }
        if !isAlive { shutdown(socket, Int32(SHUT_RDWR)) }
    }

    private func endIdle() {
        let now = ContinuousClock.now
        guard now >= nextIdleCheck else { return }
        nextIdleCheck = now + Self.round
        for (id, transfer) in transfers {
            guard let deadline = transfer.idleDeadline, deadline <= now else { continue }
            suspectConnection(of: id)
            end(id, .failed(TransportError(.timedOut, "nothing came for too long")))
        }
    }
}
