import CLinux
import Dispatch
import Glibc
import NetworkModel
import Synchronization

/// Looks names up with the system's resolver, away from the loops.
///
/// `getaddrinfo` blocks, for seconds when a name server is silent. So names are spread over a few serial queues
/// by their hash: one name that hangs delays a share of the others, and no more threads than queues exist.
final class Resolver: Sendable {
    typealias Answer = Result<[IPAddress], ResolverError>
    typealias Completion = @Sendable (EventLoop, Answer) -> Void

    private static let queueCount = 4
    /// Names that may wait at once; more are refused.
    private static let waitingCountMax = 4096

    private struct Question: Sendable {
        let mailbox: Mailbox
        let completion: Completion
    }

    private let waiting = Mutex<[String: [Question]]>([:])
    private let queues: [DispatchQueue]

    init() {
        queues = (0..<Self.queueCount).map { DispatchQueue(label: "resolver-\($0)") }
    }

    /// Gives the addresses of `host` to `completion`, on the loop of `mailbox`.
    ///
    /// They come in the resolver's order, without duplicates and never empty; an IP address is its own answer.
    /// Concurrent questions for one name share one look-up.
    func resolve(
        _ host: String,
        replyTo mailbox: Mailbox,
        _ completion: @escaping Completion
    ) {
        if let address = IPAddress(host) {
            mailbox.post { completion($0, .success([address])) }
            return
        }
        let question = Question(mailbox: mailbox, completion: completion)
        let (isFirst, isRefused) = waiting.withLock { waiting -> (Bool, Bool) in
            let isFirst = waiting[host] == nil
            guard !isFirst || waiting.count < Self.waitingCountMax else { return (false, true) }
            waiting[host, default: []].append(question)
            return (isFirst, false)
        }
        if isRefused {
            let error = ResolverError(host: host, reason: "too many names are being looked up")
            mailbox.post { completion($0, .failure(error)) }
        }
        guard isFirst else { return }
        let queue = queues[Int(UInt(bitPattern: host.hashValue) % UInt(queues.count))]
        queue.async { self.answer(host) }
    }

    private func answer(_ host: String) {
        let answer = Self.lookUp(host)
        let questions = waiting.withLock { $0.removeValue(forKey: host) } ?? []
        for question in questions {
            question.mailbox.post { question.completion($0, answer) }
        }
    }

    private static func lookUp(_ host: String) -> Answer {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            let reason = unsafe gai_strerror(status).map { unsafe String(cString: $0) }
            return .failure(ResolverError(host: host, reason: reason ?? "error \(status)"))
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            let pointer = unsafe UnsafeRawPointer(entry.pointee.ai_addr)
            let count = unsafe Int(entry.pointee.ai_addrlen)
            let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: count)
            if let address = unsafe SocketAddress(copying: bytes).endpoint?.address,
                !addresses.contains(address)
            {
                addresses.append(address)
            }
            unsafe next = unsafe entry.pointee.ai_next
        }
        guard !addresses.isEmpty else {
            return .failure(ResolverError(host: host, reason: "no addresses"))
        }
        return .success(addresses)
    }
}

/// Why a name has no address; the text is the system's.
struct ResolverError: Error, Hashable, Sendable, CustomStringConvertible {
    let host: String
    let reason: String

    var description: String { "\(host): \(reason)" }
}
