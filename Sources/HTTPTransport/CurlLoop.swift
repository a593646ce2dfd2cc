import CLibcurl
import Glibc
import Synchronization

/// A thread that drives one curl multi handle; others talk to it through an inbox.
///
/// Shares nothing but the inbox: the transfers live on the thread.
final class CurlLoop: Sendable {
    private enum Command {
        case start(UInt64, HTTPRequest, Exchange)
        case cancel(UInt64)
    }

    private struct Inbox {
        var commands: [Command] = []
        var nextID: UInt64 = 0
        /// Transfers on the thread after its last round.
        var active = 0
        var isStopping = false
        /// The multi handle is gone: nobody may wake it.
        var isClosed = false

        /// Exchanges that the thread does not know yet.
        var waitingStarts: Int {
            commands.count { if case .start = $0 { true } else { false } }
        }
    }

    /// The multi handle as a number: pointers are not Sendable, and only the thread uses it as one,
    /// but for waking, which libcurl allows from anywhere.
    private let multi: UInt
    private let inbox = Mutex(Inbox())
    private let streamLimit: Int
    private let name: String

    /// Starts the thread.
    ///
    /// At most `hostConnections` connections to one host; at most `streamLimit` exchanges at once,
    /// more are refused rather than made to wait behind endless ones.
    init(name: String, hostConnections: Int, streamLimit: Int) {
        _ = Self.globalInit
        let handle = unsafe curl_multi_init()
        multi = UInt(bitPattern: handle)
        self.streamLimit = streamLimit
        self.name = name
        unsafe clibcurl_multi_set_long(handle, CURLMOPT_MAX_HOST_CONNECTIONS, hostConnections)
        unsafe clibcurl_multi_set_long(handle, CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX))
        startThread()
    }

    /// Once per process, before any handle.
    private static let globalInit: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// Sends a request; what comes back goes to the exchange returned.
    func start(_ request: HTTPRequest, limit: Int) throws(TransportError) -> Exchange {
        let result = inbox.withLock { inbox -> Result<Exchange, TransportError> in
            guard !inbox.isStopping else {
                return .failure(TransportError(.unavailable, "the transport was shut down"))
            }
            guard inbox.active < streamLimit else {
                let message = "all \(streamLimit) streams are in use"
                return .failure(TransportError(.unavailable, message))
            }
            inbox.active += 1
            inbox.nextID += 1
            let id = inbox.nextID
            let exchange = Exchange(limit: limit) { [self] in cancel(id) }
            inbox.commands.append(.start(id, request, exchange))
            wake(inbox)
            return .success(exchange)
        }
        return try result.get()
    }

    /// Ends all exchanges and, soon after, the thread.
    func stop() {
        inbox.withLock { inbox in
            inbox.isStopping = true
            wake(inbox)
        }
    }

    private func cancel(_ id: UInt64) {
        inbox.withLock { inbox in
            inbox.commands.append(.cancel(id))
            wake(inbox)
        }
    }

    /// Under the inbox's lock, so that the handle cannot be closed meanwhile.
    private func wake(_ inbox: borrowing Inbox) {
        guard !inbox.isClosed else { return }
        unsafe curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: multi))
    }
}

// The thread.
extension CurlLoop {
    private func startThread() {
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let code = unsafe pthread_create(
            &thread,
            &attributes,
            { context in
                guard let context = unsafe context else { return nil }
                let loop = unsafe Unmanaged<CurlLoop>.fromOpaque(context).takeRetainedValue()
                loop.run()
                return nil
            },
            context
        )
        unsafe pthread_attr_destroy(&attributes)
        // Without threads there is no program: the process could do nothing but report this.
        precondition(code == 0, "no thread for HTTP: error \(code)")
    }

    private func run() {
        unsafe clibcurl_prepare_thread(name)
        let table = TransferTable(multi: multi)
        while true {
            let (commands, isStopping) = inbox.withLock { inbox in
                let commands = inbox.commands
                inbox.commands = []
                return (commands, inbox.isStopping)
            }
            for command in commands {
                switch command {
                case .start(let id, let request, let exchange):
                    table.start(id, request, exchange)
                case .cancel(let id):
                    table.end(id, .canceled)
                }
            }
            if isStopping {
                table.endAll(TransportError(.unavailable, "the transport was shut down"))
                inbox.withLock { $0.isClosed = true }
                table.close()
                return
            }
            table.perform()
            let active = table.count
            inbox.withLock { $0.active = active + $0.waitingStarts }
            // A wake-up between taking the inbox and here makes this return at once.
            table.wait()
        }
    }
}
