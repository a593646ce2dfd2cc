import CLibcurl
import Glibc

/// The transfers of one multi handle; made and used on the loop's thread only.
@safe final class TransferTable {
    /// How a transfer ends that curl did not end.
    enum Ending {
        case canceled
        case failed(TransportError)
    }

    private let multi: UnsafeMutableRawPointer?
    private var transfers: [UInt64: Transfer] = [:]
    private var identifiers: [UnsafeMutableRawPointer: UInt64] = unsafe [:]
    private let sockets = SocketWatch()
    /// Transfers came or went, which may leave others with work that curl has no timer for.
    private var hasChanged = false

    /// How long a quiet round may last.
    private static let round = Duration.seconds(5)

    init(multi: UInt) { unsafe self.multi = UnsafeMutableRawPointer(bitPattern: multi) }

    var count: Int { transfers.count }

    func start(_ id: UInt64, _ request: HTTPRequest, _ exchange: Exchange) {
        guard let transfer = Transfer(request, exchange: exchange, sockets: sockets) else {
            return
        }
        let code = unsafe curl_multi_add_handle(multi, transfer.easy)
        guard code == CURLM_OK else {
            let message = unsafe String(cString: curl_multi_strerror(code))
            exchange.finish(.failure(TransportError(.unavailable, message)))
            return
        }
        transfers[id] = transfer
        hasChanged = true
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

    /// Moves bytes, and ends what has finished, fallen silent or taken too long.
    func perform() {
        performOnce()
        // libcurl 7.88 may drop the timer with which one handle wakes another in the round in which it starts: the
        // other would sleep until something else happens.
        if hasChanged {
            hasChanged = false
            performOnce()
        }
        endOverdue()
    }

    private func performOnce() {
        var running: Int32 = 0
        unsafe curl_multi_perform(multi, &running)
        var code = CURLE_OK
        while let easy = unsafe clibcurl_multi_next_finished(multi, &code) {
            guard let id = unsafe identifiers[easy] else { continue }
            if code == CURLE_OPERATION_TIMEDOUT { suspectConnection(of: id) }
            remove(id)?.finish(code)
        }
    }

    /// Sleeps until a socket is ready, the next deadline, curl's next timer, or somebody wakes the handle.
    func wait() {
        let now = ContinuousClock.now
        let deadlines = transfers.values.lazy.flatMap { [$0.deadline, $0.idleDeadline] }
        let next = deadlines.compactMap(\.self).min().map { max(.zero, $0 - now) }
        let time = min(next ?? Self.round, hasChanged ? .zero : Self.round)
        // Rounded up: not to be back a moment too early.
        let milliseconds = time.components.attoseconds / 1_000_000_000_000_000 + 1
        let timeout = Int32(clamping: time.components.seconds * 1000 + milliseconds)
        unsafe curl_multi_poll(multi, nil, 0, timeout, nil)
    }

    func close() { unsafe curl_multi_cleanup(multi) }

    private func remove(_ id: UInt64) -> Transfer? {
        guard let transfer = transfers.removeValue(forKey: id) else { return nil }
        hasChanged = true
        unsafe curl_multi_remove_handle(multi, transfer.easy)
        unsafe identifiers.removeValue(forKey: transfer.easy)
        return transfer
    }

    /// Ends the connections that have been silent for at least half as long as this transfer has.
    ///
    /// A peer may freeze a moment after the request was sent, with its last bytes for others on the way.
    private func suspectConnection(of id: UInt64) {
        guard let transfer = transfers[id] else { return }
        sockets.shutDownSilent(for: (ContinuousClock.now - transfer.quietSince) / 2)
    }

    private func endOverdue() {
        let now = ContinuousClock.now
        for (id, transfer) in transfers {
            if let deadline = transfer.deadline, deadline <= now {
                suspectConnection(of: id)
                end(id, .failed(transfer.timeoutError))
            } else if let deadline = transfer.idleDeadline, deadline <= now {
                suspectConnection(of: id)
                end(id, .failed(TransportError(.timedOut, "nothing came for too long")))
            }
        }
    }
}
